#include "disk/core/lower_case.hpp"

#include <gtest/gtest.h>

namespace ingot {
namespace {

TEST(LowerCase, ChangesLettersOfAsciiAlone) {
  EXPECT_EQ(lower_case("HTTPS://Ärger.Example/@[`{"), "https://Ärger.example/@[`{");
  EXPECT_EQ(lower_case("AZaz09"), "azaz09");
  EXPECT_EQ(lower_case(""), "");
}

}  // namespace
}  // namespace ingot
