#include "imaging/archive_companion.hpp"

#include <algorithm>

#include "imaging/content_magic.hpp"
#include "imaging/probe.hpp"

namespace ingot::imaging {
namespace {

using std::string_view_literals::operator""sv;

bool starts_with(std::span<const std::byte> head, std::string_view magic) {
  return head.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), head.begin(),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

bool is_image(std::span<const std::byte> head) {
  return find_image_magic(head) || probe_image(head, std::nullopt, false);
}

}  // namespace

std::string_view companion_kind(std::string_view path, std::span<const std::byte> head,
                                std::uint64_t size) {
  if (size == 0) return "empty";
  const auto name = path.substr(path.find_last_of('/') + 1);  // npos + 1: the whole
  const bool small = size < kCompanionHead;
  // AppleDouble's magic number (RFC 1740) may stand before a whole resource fork; a file that only
  // has its name is believed while it is small.
  const bool macos = starts_with(head, "\0\x05\x16\x07"sv) || (small && name.starts_with("._")) ||
                     (name == ".DS_Store" && starts_with(head, "\0\0\0\1Bud1"sv));
  const bool text = small && find_text_kind(head).has_value();
  if (!(macos || small) || is_image(head)) return {};
  if (macos) return "metadata of macOS";
  return text ? "a text" : "small, and no image";
}

}  // namespace ingot::imaging
