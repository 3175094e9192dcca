/// CRC-64 as a linear sum: the checksum of a stretch put together from its parts in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ingot::disk {

/// The remainder of the bytes, read as a polynomial over GF(2), without the initial value and the
/// final inversion that protocols add. So it is linear: zeros give 0, wherever they stand, and the
/// checksum of a stretch is the exclusive or of its parts' checksums, each moved to its place with
/// crc64_followed_by(). Polynomial: ECMA-182 (0x42F0E1EBA9EA3693). Speed: that of ISA-L, some GB/s.
[[nodiscard]] std::uint64_t crc64(std::span<const std::byte> data) noexcept;

/// The checksum of the same bytes with `zeros` zero bytes behind them. Any number; some hundred
/// nanoseconds.
[[nodiscard]] std::uint64_t crc64_followed_by(std::uint64_t crc, std::uint64_t zeros) noexcept;

}  // namespace ingot::disk
