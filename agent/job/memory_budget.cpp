#include "agent/job/memory_budget.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ingot::agent {

Result<MemoryBudget> split_memory(std::uint64_t limit) {
  if (limit < kMinMemoryLimit)
    return fail(Errc::usage_option,
                fmt::format("--memory-limit: {} is less than {}, the least an image can be "
                            "streamed with",
                            format_bytes(limit), format_bytes(kMinMemoryLimit)),
                fmt::format("give {} or more, or leave the option out ({})",
                            format_bytes(kMinMemoryLimit), format_bytes(kDefaultMemoryLimit)));
  constexpr std::uint64_t kMostRing = 64, kMostBuffers = 96;
  const std::uint64_t whole = std::min<std::uint64_t>(limit / MiB, SIZE_MAX / MiB);
  MemoryBudget budget;
  budget.ring_blocks = std::min(whole / 4, kMostRing);
  budget.writer_buffers = std::min(whole * 3 / 8, kMostBuffers);
  budget.hold_limit = (whole - budget.ring_blocks - budget.writer_buffers) * MiB;
  return budget;
}

}  // namespace ingot::agent
