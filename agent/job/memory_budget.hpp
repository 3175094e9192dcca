/// MemoryBudget: what --memory-limit buys.
#pragma once

#include <cstddef>
#include <cstdint>

#include "disk/core/error.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {

inline constexpr std::uint64_t kDefaultMemoryLimit = 48 * MiB;
inline constexpr std::uint64_t kMinMemoryLimit = 32 * MiB;

/// How the memory for image data is shared out, in a fixed ratio: a quarter receives (`ring`
/// blocks of 1 MiB), three eighths are output buffers (1 MiB each), the rest holds what cannot be
/// placed yet. What grows with none of them comes on top: the program and its libraries, TLS,
/// decompression windows; docs/performance.md has the measured total.
struct MemoryBudget {
  std::size_t ring_blocks = 12;     ///< of 1 MiB
  std::size_t writer_buffers = 18;  ///< of 1 MiB
  std::size_t hold_limit = 18 * MiB;

  [[nodiscard]] std::uint64_t total() const noexcept {
    return (ring_blocks + writer_buffers) * MiB + hold_limit;
  }
};

/// Splits `limit` (bytes). Ring and buffers stop growing at 64 and 96: beyond that they gain
/// nothing, while every held byte is one that need not be parked.
/// Errors: usage.option below kMinMemoryLimit.
Result<MemoryBudget> split_memory(std::uint64_t limit);

}  // namespace ingot::agent
