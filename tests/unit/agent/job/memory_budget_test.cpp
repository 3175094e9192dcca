// What a memory limit buys.
#include "agent/job/memory_budget.hpp"

#include <gtest/gtest.h>

namespace ingot::agent {
namespace {

TEST(MemoryBudget, IsSharedOutCompletely) {
  const auto standard = split_memory(kDefaultMemoryLimit).value();
  EXPECT_EQ(standard.ring_blocks, 12U);
  EXPECT_EQ(standard.writer_buffers, 18U);
  EXPECT_EQ(standard.hold_limit, 18 * MiB);
  EXPECT_EQ(MemoryBudget{}.total(), kDefaultMemoryLimit);
  for (std::uint64_t limit = kMinMemoryLimit; limit < 4 * GiB; limit += 37 * MiB + 511) {
    const auto budget = split_memory(limit).value();
    EXPECT_LE(budget.total(), limit);
    EXPECT_GT(budget.total() + MiB, limit);
    EXPECT_GE(budget.ring_blocks, 8U);
    EXPECT_GE(budget.writer_buffers, 12U);
    EXPECT_GE(budget.hold_limit, 12 * MiB);
  }
  EXPECT_TRUE(split_memory(UINT64_MAX));
  EXPECT_EQ(split_memory(kMinMemoryLimit - 1).error().code(), Errc::usage_option);
}

}  // namespace
}  // namespace ingot::agent
