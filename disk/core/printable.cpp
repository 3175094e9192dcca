#include "disk/core/printable.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ingot {
namespace {

constexpr std::size_t kShown = 32;

bool is_printable(std::byte byte) noexcept {
  return byte >= std::byte{0x20} && byte < std::byte{0x7f};
}

}  // namespace

std::string printable(std::span<const std::byte> text, std::size_t limit) {
  std::string out;
  for (const auto byte : text.first(std::min(text.size(), limit))) {
    if (is_printable(byte))
      out += static_cast<char>(byte);
    else
      out += fmt::format("\\x{:02x}", std::to_integer<unsigned>(byte));
  }
  if (text.size() > limit) out += "…";
  return out;
}

std::string first_bytes(std::span<const std::byte> head) {
  std::string hex;
  std::string text;
  for (const auto byte : head.first(std::min(head.size(), kShown))) {
    hex += fmt::format("{:02x} ", std::to_integer<unsigned>(byte));
    text += is_printable(byte) ? static_cast<char>(byte) : '.';
  }
  return hex + '"' + text + '"';
}

}  // namespace ingot
