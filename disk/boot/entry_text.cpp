#include "disk/boot/entry_text.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "disk/core/printable.hpp"

namespace ingot::disk {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::size_t kShown = 200;

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&text](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
    return put(0x80 | (c & 0x3F));
  }
  put(0xE0 | (c >> 12));
  put(0x80 | ((c >> 6) & 0x3F));
  put(0x80 | (c & 0x3F));
}

bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c <= 0xDFFF;
}

// Takes one character of one to three bytes off the front; nothing if there is none (RFC 3629).
std::optional<char32_t> take(std::string_view& text) {
  const auto byte = [&text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&byte](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const char32_t first = byte(0);
  if (first < 0x80) {
    text.remove_prefix(1);
    return first;
  }
  if (first >= 0xC2 && first <= 0xDF && follows(1)) {
    const char32_t c = ((first & 0x1F) << 6) | (byte(1) & 0x3F);
    text.remove_prefix(2);
    return c;
  }
  if (first >= 0xE0 && first <= 0xEF && follows(1) && follows(2)) {
    const char32_t c = ((first & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    if (c < 0x800 || is_surrogate(c)) return std::nullopt;
    text.remove_prefix(3);
    return c;
  }
  return std::nullopt;
}

bool is_shown(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  // Line and paragraph separators, direction marks, zero-width characters.
  const bool format = c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) ||
                      (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F);
  return !control && !format && c < 0xFFF0 && c != 0xFEFF;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string utf8_of_utf16(std::string_view bytes, std::size_t limit) {
  bytes = bytes.substr(0, limit);
  const auto byte = [&bytes](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(bytes[i]));
  };
  bool big_endian = false;
  if (bytes.size() >= 2) {
    big_endian = byte(0) == 0xFE && byte(1) == 0xFF;
    if (big_endian || (byte(0) == 0xFF && byte(1) == 0xFE)) bytes.remove_prefix(2);
  }
  std::string text;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const char32_t c = big_endian ? (byte(i) << 8) | byte(i + 1) : byte(i) | (byte(i + 1) << 8);
    append_utf8(text, is_surrogate(c) ? kReplacement : c);
  }
  return text;
}

bool fits_entry(std::string_view text) {
  while (!text.empty()) {
    const auto c = take(text);
    if (!c || !is_shown(*c)) return false;
  }
  return true;
}

std::string first_characters(std::string_view text, std::size_t limit) {
  std::string_view rest = text;
  for (std::size_t i = 0; i < limit && !rest.empty(); ++i)
    if (!take(rest)) break;
  return std::string(text.substr(0, text.size() - rest.size()));
}

std::string shown(std::string_view said) {
  std::string line;
  for (const char c : said) {
    const bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (line.empty()) return "it said nothing";
  return printable(std::as_bytes(std::span(line)), kShown);
}

bool same_name(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, {}, lower, lower);
}

}  // namespace ingot::disk
