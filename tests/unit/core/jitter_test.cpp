#include "disk/core/jitter.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ingot {
namespace {

using std::chrono::milliseconds;

TEST(Jitter, IsBetweenHalfAndAllAndSeldomTheSame) {
  std::set<milliseconds> seen;
  for (int i = 0; i < 200; ++i) {
    const auto delay = jittered(milliseconds(1000));
    EXPECT_GE(delay, milliseconds(500));
    EXPECT_LE(delay, milliseconds(1000));
    seen.insert(delay);
  }
  EXPECT_GT(seen.size(), 20U);
  EXPECT_EQ(jittered(milliseconds(0)), milliseconds(0));
}

}  // namespace
}  // namespace ingot
