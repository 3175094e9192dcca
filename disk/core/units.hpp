/// Byte quantities: constants, overflow-checked arithmetic for values that come from outside, and
/// the one way sizes are shown to people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ingot {

inline constexpr std::uint64_t KiB = 1024;
inline constexpr std::uint64_t MiB = 1024 * KiB;
inline constexpr std::uint64_t GiB = 1024 * MiB;

/// a + b, or nothing when that passes 2^64.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// a * b, or nothing when that passes 2^64.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// `value` rounded down to a multiple of `step` (a power of two).
[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t step) {
  return value & ~(step - 1);
}

/// `value` rounded up to a multiple of `step` (a power of two); `value` must be at most
/// 2^64 - step.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t step) {
  return align_down(value + step - 1, step);
}

[[nodiscard]] constexpr bool is_aligned(std::uint64_t value, std::uint64_t step) {
  return (value & (step - 1)) == 0;
}

/// "1.5 GiB", "512 B": binary units, at most one decimal. For people, never for parsing.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

}  // namespace ingot
