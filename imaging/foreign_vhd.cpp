// vhd (Virtual PC, Azure). Layout: Microsoft's "Virtual Hard Disk Image Format Specification" 1.0;
// big-endian. A dynamic disk begins with a copy of its footer, a fixed one has it at the end only.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "disk/core/units.hpp"
#include "imaging/foreign_fields.hpp"
#include "imaging/foreign_header.hpp"

namespace ingot::imaging {
namespace {

constexpr std::uint64_t kFooterSize = 512;
constexpr std::uint32_t kFixed = 2, kDynamic = 3, kDifferencing = 4;
constexpr std::string_view kCookie = "conectix";

// The footer's disk size. Virtual PC means the CHS geometry, unless that is the largest there is;
// Hyper-V and the creators that follow it mean `current size`. Which is which is QEMU's list
// (block/vpc.c), since qemu-img is what reads the image in the end.
Result<std::uint64_t> footer_size(const Fields& footer) {
  const auto current = footer.be<std::uint64_t>(48);
  const std::uint64_t geometry = std::uint64_t{footer.be<std::uint16_t>(56)} *
                                 footer.be<std::uint8_t>(58) * footer.be<std::uint8_t>(59) * 512;
  if (current == 0 || current > kMaxForeignSize)
    return fail(Errc::image_corrupt, fmt::format("vhd: current size {} is out of range", current));
  constexpr std::uint64_t kLargestGeometry = 65535ULL * 16 * 255 * 512;
  static constexpr std::array<std::string_view, 5> kBySize = {"win ", "qem2", "d2v ",
                                                              std::string_view("tap\0", 4), "CTXS"};
  const bool by_size = geometry == kLargestGeometry || geometry == 0 ||
                       std::ranges::find(kBySize, footer.text(28, 4)) != kBySize.end();
  return by_size ? align_up(current, 512) : geometry;
}

Result<void> check_type(std::uint32_t type, std::uint32_t expected, std::string_view where) {
  if (type == expected) return {};
  if (type == kDifferencing)
    return fail(Errc::image_unsupported, "vhd: disk type 4 (differencing) needs a parent image",
                "merge it into its parent first, or flatten it with qemu-img convert");
  return fail(Errc::image_corrupt,
              fmt::format("vhd: disk type {} in the footer at the {}", type, where));
}

Result<ForeignHeader> check_fixed(const ForeignFile& file) {
  if (!file.size) return ForeignHeader{0, false};
  if (*file.size < 2 * kFooterSize)
    return fail(Errc::image_truncated, "vhd: too short to hold a footer");
  const std::uint64_t room = *file.size - kFooterSize;
  std::array<std::byte, kFooterSize> bytes{};
  INGOT_TRY_ASSIGN(const bool there, file.read(room, bytes));
  if (!there) return ForeignHeader{room, false};
  const Fields footer(bytes);
  if (footer.text(0, kCookie.size()) != kCookie)
    return fail(Errc::image_corrupt, "vhd: no footer (cookie \"conectix\") at either end");
  INGOT_TRY(check_type(footer.be<std::uint32_t>(60), kFixed, "end"));
  if (footer.be<std::uint64_t>(48) > room)
    return fail(Errc::image_truncated,
                fmt::format("vhd: current size {} is more than the {} bytes before the footer",
                            footer.be<std::uint64_t>(48), room));
  INGOT_TRY_ASSIGN(const auto size, footer_size(footer));
  return ForeignHeader{std::min(size, room), true};
}

// A dynamic disk ends with its footer (511 bytes of it, from old creators): a file that does not is
// not all there. False: the end has not come yet.
Result<bool> check_end(const ForeignFile& file) {
  if (!file.size) return false;
  std::array<std::byte, kFooterSize> bytes{};
  if (*file.size < bytes.size()) return fail(Errc::image_truncated, "vhd: too short for a footer");
  INGOT_TRY_ASSIGN(const bool there, file.read(*file.size - bytes.size(), bytes));
  const Fields end(bytes);
  if (there && end.text(0, kCookie.size()) != kCookie && end.text(1, kCookie.size()) != kCookie)
    return fail(Errc::image_truncated, "vhd: no footer at the end of the file");
  return there;
}

}  // namespace

Result<ForeignHeader> check_vhd(const ForeignFile& file) {
  std::array<std::byte, kFooterSize> bytes{};
  INGOT_TRY_ASSIGN(const bool there, file.read(0, bytes));
  if (!there) return ForeignHeader{0, false};
  const Fields footer(bytes);
  if (footer.text(0, kCookie.size()) != kCookie) return check_fixed(file);

  // qemu takes any image that begins with a footer for a dynamic one, whatever its type says.
  INGOT_TRY(check_type(footer.be<std::uint32_t>(60), kDynamic, "start"));
  INGOT_TRY_ASSIGN(const auto size, footer_size(footer));

  const auto header_at = footer.be<std::uint64_t>(16);
  std::array<std::byte, 1024> header_bytes{};
  const auto header_end = checked_add(header_at, header_bytes.size());
  if (header_at < kFooterSize || !header_end || (file.size && *header_end > *file.size))
    return fail(Errc::image_corrupt,
                fmt::format("vhd: data offset {} lies outside the file", header_at));
  INGOT_TRY_ASSIGN(const bool header_there, file.read(header_at, header_bytes));
  if (!header_there) return ForeignHeader{size, false};
  const Fields header(header_bytes);
  if (header.text(0, 8) != "cxsparse")
    return fail(Errc::image_corrupt, "vhd: wrong cookie in the dynamic disk header");
  const auto block = header.be<std::uint32_t>(32);
  if (block < 512 || (block & (block - 1)) != 0)
    return fail(Errc::image_corrupt, fmt::format("vhd: block size {} is no power of two", block));
  const auto table_at = header.be<std::uint64_t>(16);
  if (file.size && table_at >= *file.size)
    return fail(Errc::image_corrupt,
                fmt::format("vhd: table offset {} lies outside the file", table_at));

  INGOT_TRY_ASSIGN(const bool whole, check_end(file));
  return ForeignHeader{size, whole};
}

}  // namespace ingot::imaging
