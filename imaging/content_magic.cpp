#include "imaging/content_magic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "imaging/compression.hpp"

namespace ingot::imaging {
namespace {

using std::string_view_literals::operator""sv;

constexpr auto kZip = "PK\x03\x04"sv;  // APPNOTE.TXT 6.3.10, 4.3.7: a local file header

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  std::string_view description;
};

bool matches(std::span<const std::byte> head, const Magic& magic) noexcept {
  if (head.size() < magic.offset + magic.bytes.size()) return false;
  const auto here = head.subspan(magic.offset, magic.bytes.size());
  return std::equal(here.begin(), here.end(), magic.bytes.begin(),
                    [](std::byte a, char b) { return a == static_cast<std::byte>(b); });
}

struct KnownImage {
  Magic magic;
  ImageFormat format;
};
// The signatures are those of each format's specification; qemu's block/*.c probe for the same.
constexpr std::array kKnownImages = {
    KnownImage{{0, "QFI\xfb"sv, "a qcow2 image"}, ImageFormat::qcow2},
    KnownImage{{0, "KDMV"sv, "a vmdk image"}, ImageFormat::vmdk},
    KnownImage{{0, "COWD"sv, "a vmdk image (version 3)"}, ImageFormat::vmdk},
    KnownImage{{0, "conectix"sv, "a vhd image"}, ImageFormat::vhd},
    KnownImage{{0, "vhdxfile"sv, "a vhdx image"}, ImageFormat::vhdx},
    KnownImage{{64, "\x7f\x10\xda\xbe"sv, "a vdi image"}, ImageFormat::vdi},
    KnownImage{{64, "\xbe\xda\x10\x7f"sv, "a vdi image"}, ImageFormat::vdi},
};

constexpr std::array kForeignImages = {
    Magic{0, "QED\0"sv, "a QED image"},
    Magic{0, "WithoutFreeSpace"sv, "a Parallels image"},
    Magic{0, "WithouFreSpacExt"sv, "a Parallels image"},
    Magic{0, "Bochs Virtual HD Image"sv, "a Bochs image"},
    Magic{0, "#!/bin/sh\n#V2.0 Format\n"sv, "a cloop image"},
};

constexpr std::array kPacked = {
    Magic{0, kZip, "a zip archive"},
    Magic{0, "PK\x05\x06"sv, "an empty zip archive"},
    Magic{0, "PK\x07\x08"sv, "a part of a zip archive"},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    Magic{0, "Rar!\x1a\x07"sv, "a rar archive"},
    Magic{0, "LZIP"sv, "an lzip file"},
    Magic{0, "\x89LZO\0\r\n\x1a\n"sv, "an lzop file"},
    Magic{0, "\x1f\x9d"sv, "a compress (.Z) file"},
    Magic{0, "\x02\x21\x4c\x18"sv, "an LZ4 file of the legacy format"},
    Magic{0, "\x5d\0\0"sv, "an lzma (not xz) file"},
    Magic{0, "070701"sv, "a cpio archive"},
    Magic{0, "070707"sv, "a cpio archive"},
    Magic{257, "ustar"sv, "a tar archive"},
    Magic{0,
          "\x7f"
          "ELF"sv,
          "an ELF program"},
    Magic{0, "\xed\xab\xee\xdb"sv, "an RPM package"},
    Magic{0, "!<arch>\n"sv, "a Debian package or static library"},
};

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// The first KiB as lower-case text, without a byte order mark and leading white space. UTF-16 is
/// read as if it were ASCII, which markup's first words are.
std::string text_start(std::span<const std::byte> head) {
  constexpr std::size_t kLooked = 1024;
  head = head.first(std::min(head.size(), kLooked));
  const bool wide = matches(head, {0, "\xff\xfe"sv, {}}) || matches(head, {0, "\xfe\xff"sv, {}});
  if (wide)
    head = head.subspan(2);
  else if (matches(head, {0, "\xef\xbb\xbf"sv, {}}))
    head = head.subspan(3);
  std::string text;
  for (const auto byte : head) {
    const char c = static_cast<char>(byte);
    if (wide && c == '\0') continue;
    if (text.empty() && " \t\r\n\v\f"sv.find(c) != std::string_view::npos) continue;
    text += lower(c);
  }
  return text;
}

/// A vmdk descriptor in a file of its own: by its first line, or as qemu tells it, comment and
/// blank lines followed by "version=".
bool is_vmdk_descriptor(std::span<const std::byte> head) {
  const std::string text = text_start(head);
  if (text.starts_with("# disk descriptorfile")) return true;
  if (!text.starts_with('#')) return false;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with("version=")) return true;
    if (!line.starts_with('#') && line.find_first_not_of(" \r") != std::string_view::npos)
      return false;
  }
  return false;
}

}  // namespace

std::optional<ImageMagic> find_image_magic(std::span<const std::byte> head) {
  if (matches(head, {0, "QFI\xfb\0\0\0\x01"sv, {}}))
    return ImageMagic{
        {}, ImageFormat::qcow2, "a qcow image of version 1", "that version is obsolete"};
  for (const auto& known : kKnownImages)
    if (matches(head, known.magic))
      return ImageMagic{known.format, known.format, std::string(known.magic.description), {}};
  for (const auto& foreign : kForeignImages)
    if (matches(head, foreign))
      return ImageMagic{{}, {}, std::string(foreign.description), "the format is not supported"};
  if (is_vmdk_descriptor(head))
    return ImageMagic{{},
                      ImageFormat::vmdk,
                      "a vmdk descriptor",
                      "it names other files, which are not part of the download"};
  return std::nullopt;
}

bool looks_like_html(std::span<const std::byte> head) {
  const std::string text = text_start(head);
  for (const auto start : {"<!doctype html"sv, "<html"sv, "<head>"sv, "<body"sv, "<title>"sv})
    if (text.starts_with(start)) return true;
  return (text.starts_with("<?xml") || text.starts_with("<!--")) &&
         text.find("<html") != std::string::npos;
}

std::optional<std::string> find_packed_magic(std::span<const std::byte> head) {
  if (const auto compression = sniff_compression(head))
    return fmt::format("a {} file", name(*compression));
  for (const auto& packed : kPacked)
    if (matches(head, packed)) return std::string(packed.description);
  return std::nullopt;
}

bool starts_zip(std::span<const std::byte> head) {
  return matches(head, {0, kZip, {}});
}

std::optional<std::string> find_text_kind(std::span<const std::byte> head) {
  const std::string text = text_start(head);
  const bool readable = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || "\t\r\n\f"sv.find(c) != std::string_view::npos;
  });
  if (!readable) return std::nullopt;
  if (text[0] == '{' || text[0] == '[') return "a JSON document";
  if (text.starts_with("<?xml") || text.starts_with("<error")) return "an XML document";
  return "text";
}

}  // namespace ingot::imaging
