#include "imaging/compression.hpp"

#include <algorithm>
#include <cstdint>

namespace ingot::imaging {
namespace {

std::uint32_t little_endian_32(std::span<const std::byte> bytes) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}

// RFC 8878, section 3.1: a frame's magic number, and the range of the skippable frames' (which the
// LZ4 frame format has taken over unchanged).
constexpr std::uint32_t kZstdMagic = 0xFD2FB528;
constexpr std::uint32_t kLz4Magic = 0x184D2204;
constexpr std::uint32_t kSkippableMagic = 0x184D2A50;

bool is_skippable(std::uint32_t magic) noexcept {
  return (magic & 0xFFFFFFF0) == kSkippableMagic;
}

bool starts_with(std::span<const std::byte> head, std::string_view magic) noexcept {
  return head.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), head.begin(),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

}  // namespace

std::string_view name(Compression compression) noexcept {
  switch (compression) {
    case Compression::gzip:
      return "gzip";
    case Compression::xz:
      return "xz";
    case Compression::zstd:
      return "zstd";
    case Compression::bzip2:
      return "bzip2";
    case Compression::lz4:
      return "lz4";
  }
  return "";
}

std::size_t magic_size(Compression compression) noexcept {
  switch (compression) {
    case Compression::gzip:
      return 3;
    case Compression::xz:
      return 6;
    case Compression::zstd:
    case Compression::bzip2:
    case Compression::lz4:
      return 4;
  }
  return 0;
}

bool starts_member(Compression compression, std::span<const std::byte> head) noexcept {
  if (head.size() < magic_size(compression)) return false;
  switch (compression) {
    case Compression::gzip:  // RFC 1952: ID1, ID2, and deflate, the only method there is
      return starts_with(head, "\x1f\x8b\x08");
    case Compression::xz:
      return starts_with(head, std::string_view("\xfd"
                                                "7zXZ\0",
                                                6));
    case Compression::zstd:
      return little_endian_32(head) == kZstdMagic || is_skippable(little_endian_32(head));
    case Compression::bzip2:  // the fourth byte is the block size, '1' to '9'
      return starts_with(head, "BZh") && head[3] >= std::byte{'1'} && head[3] <= std::byte{'9'};
    case Compression::lz4:
      return little_endian_32(head) == kLz4Magic || is_skippable(little_endian_32(head));
  }
  return false;
}

std::optional<Compression> sniff_compression(std::span<const std::byte> head) noexcept {
  auto rest = head;
  while (rest.size() >= 8 && is_skippable(little_endian_32(rest))) {
    const std::uint64_t length = 8 + std::uint64_t{little_endian_32(rest.subspan(4))};
    if (length >= rest.size()) break;
    rest = rest.subspan(static_cast<std::size_t>(length));
  }
  for (const auto compression : kCompressions) {
    if (compression == Compression::gzip || compression == Compression::xz ||
        compression == Compression::bzip2) {
      if (starts_member(compression, head)) return compression;
    } else if (starts_member(compression, rest)) {
      return compression;  // zstd comes before lz4: nothing but skippable frames is zstd
    }
  }
  return std::nullopt;
}

}  // namespace ingot::imaging
