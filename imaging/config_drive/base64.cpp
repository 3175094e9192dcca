#include "imaging/config_drive/base64.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace ingot::imaging {
namespace {

constexpr std::uint8_t kForeign = 0xff, kSpace = 0xfe, kPadding = 0xfd;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kForeign);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  for (const char c : {' ', '\t', '\r', '\n'}) values[static_cast<unsigned char>(c)] = kSpace;
  values['='] = kPadding;
  return values;
}();

}  // namespace

std::optional<SecretBytes> decode_base64(std::span<const std::byte> text) {
  SecretBytes out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t group = 0;
  unsigned have = 0, padding = 0;
  for (const std::byte character : text) {
    const std::uint8_t value = kValues[std::to_integer<unsigned>(character)];
    if (value == kSpace) continue;
    if (value == kForeign || (padding > 0 && value != kPadding)) return std::nullopt;
    if (value == kPadding) {
      ++padding;
      continue;
    }
    group = group << 6 | value;
    if (++have < 4) continue;
    for (const int shift : {16, 8, 0}) out.push_back(static_cast<std::byte>(group >> shift & 0xff));
    group = have = 0;
  }
  if (have == 1 || (padding > 0 && (have == 0 || have + padding != 4))) return std::nullopt;
  if (have == 2) {
    if ((group & 0xf) != 0) return std::nullopt;
    out.push_back(static_cast<std::byte>(group >> 4));
  } else if (have == 3) {
    if ((group & 0x3) != 0) return std::nullopt;
    out.push_back(static_cast<std::byte>(group >> 10));
    out.push_back(static_cast<std::byte>(group >> 2 & 0xff));
  }
  return out;
}

}  // namespace ingot::imaging
