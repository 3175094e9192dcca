/// Fields of binary headers, read from a byte range without alignment. For the foreign_*.cpp only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ingot::imaging {

/// A header's bytes. Every access must lie inside: headers are read whole before they are parsed.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  [[nodiscard]] T le(std::size_t offset) const {
    std::uint64_t value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;)
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset + i]);
    return static_cast<T>(value);
  }
  template <class T>
  [[nodiscard]] T be(std::size_t offset) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset + i]);
    return static_cast<T>(value);
  }
  [[nodiscard]] std::string_view text(std::size_t offset, std::size_t length) const {
    const auto part = bytes_.subspan(offset, length);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  [[nodiscard]] bool all_zero(std::size_t offset, std::size_t length) const {
    return std::ranges::all_of(bytes_.subspan(offset, length),
                               [](std::byte byte) { return byte == std::byte{0}; });
  }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace ingot::imaging
