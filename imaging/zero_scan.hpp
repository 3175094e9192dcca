/// Is this stretch of bytes all zeros? Asked of everything that is written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace ingot::imaging {

/// True when every byte is 0 (and for no bytes at all). Ends at the first byte that is not; the
/// comparison of the range with itself, shifted, is libc's vectorised memcmp.
inline bool all_zero(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t kSeed = 16;
  const std::size_t seed = std::min(kSeed, bytes.size());
  for (std::size_t i = 0; i < seed; ++i)
    if (bytes[i] != std::byte{0}) return false;
  return bytes.size() <= kSeed ||
         std::memcmp(bytes.data(), bytes.data() + kSeed, bytes.size() - kSeed) == 0;
}

}  // namespace ingot::imaging
