#include "disk/core/units.hpp"

#include <gtest/gtest.h>

namespace ingot {
namespace {

TEST(Units, CheckedArithmeticKnowsTheEdge) {
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add(0, 0), 0U);
  EXPECT_EQ(checked_mul(1ULL << 32, (1ULL << 32) - 1), 0xffffffff00000000U);
  EXPECT_EQ(checked_mul(1ULL << 32, 1ULL << 32), std::nullopt);
  EXPECT_EQ(checked_mul(0, UINT64_MAX), 0U);
}

TEST(Units, AlignmentIsToPowersOfTwo) {
  EXPECT_EQ(align_down(4097, 4096), 4096U);
  EXPECT_EQ(align_down(4095, 4096), 0U);
  EXPECT_EQ(align_up(4097, 4096), 8192U);
  EXPECT_EQ(align_up(4096, 4096), 4096U);
  EXPECT_EQ(align_up(0, 512), 0U);
  EXPECT_EQ(align_up(UINT64_MAX - 511, 512), UINT64_MAX - 511);  // the largest allowed
  EXPECT_TRUE(is_aligned(8192, 4096));
  EXPECT_FALSE(is_aligned(8193, 4096));
}

TEST(Units, SizesAreShownInBinaryUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(3 * GiB / 2), "1.5 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
  // Not "1024.0 KiB".
  EXPECT_EQ(format_bytes(MiB - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(GiB - 1), "1.0 GiB");
}

}  // namespace
}  // namespace ingot
