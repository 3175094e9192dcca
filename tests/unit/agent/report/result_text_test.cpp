// The end of a job in words.
#include "agent/report/result_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ingot::agent {
namespace {

TEST(ResultText, AnErrorsLinesAreLinesForPeople) {
  EXPECT_THAT(describe(Error(Errc::device_no_match, "none:\na: b\nc: d", "e")),
              testing::ElementsAre("error [device.no-match]: none:", "  a: b", "  c: d", "  e"));
}

}  // namespace
}  // namespace ingot::agent
