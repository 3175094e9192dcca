// vhdx (Hyper-V). Layout: Microsoft's [MS-VHDX]; little-endian. The region table at 192 KiB says
// where the metadata region is, and that holds a table of items: disk size, parent flag, ….
#include <fmt/format.h>

#include <array>
#include <optional>
#include <vector>

#include "disk/core/units.hpp"
#include "imaging/foreign_fields.hpp"
#include "imaging/foreign_header.hpp"

namespace ingot::imaging {
namespace {

constexpr std::uint64_t kTableSize = 64 * KiB;  // of the region table and of the metadata table
constexpr std::uint64_t kRegionTableAt = 192 * KiB;
constexpr std::size_t kMaxEntries = 2047;
constexpr std::size_t kEntrySize = 32;

// GUIDs as they stand in the file.
constexpr std::string_view kMetadataRegion{
    "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e", 16};
constexpr std::string_view kFileParameters{
    "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b", 16};
constexpr std::string_view kVirtualDiskSize{
    "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8", 16};
constexpr std::string_view kParentLocator{
    "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", 16};

constexpr const char* kFlatten = "merge it into its parent first, or flatten it with qemu-img";

struct Region {
  std::uint64_t offset = 0, length = 0;
};

Result<Region> metadata_region(const Fields& table) {
  if (table.text(0, 4) != "regi")
    return fail(Errc::image_corrupt, "vhdx: wrong signature of the region table at 192 KiB");
  const auto count = table.le<std::uint32_t>(8);
  if (count > kMaxEntries)
    return fail(Errc::image_corrupt, fmt::format("vhdx: {} entries in the region table", count));
  std::optional<Region> found;
  for (std::size_t at = 16; at < 16 + count * kEntrySize; at += kEntrySize) {
    if (table.text(at, 16) != kMetadataRegion) continue;
    if (found) return fail(Errc::image_corrupt, "vhdx: two metadata regions in the region table");
    found = Region{table.le<std::uint64_t>(at + 16), table.le<std::uint32_t>(at + 24)};
  }
  if (!found) return fail(Errc::image_corrupt, "vhdx: no metadata region in the region table");
  if (!is_aligned(found->offset, MiB) || found->offset < MiB || found->length < kTableSize ||
      !checked_add(found->offset, found->length))
    return fail(Errc::image_corrupt,
                fmt::format("vhdx: metadata region of {} bytes at byte {} is out of range",
                            found->length, found->offset));
  return *found;
}

// Where in the file the items stand that decide. 0: not there.
struct Items {
  std::uint64_t parameters = 0, size = 0;
};

Result<Items> find_items(const Fields& table, const Region& region) {
  if (table.text(0, 8) != "metadata")
    return fail(Errc::image_corrupt, "vhdx: wrong signature of the metadata table");
  const auto count = table.le<std::uint16_t>(10);
  if (count > kMaxEntries)
    return fail(Errc::image_corrupt, fmt::format("vhdx: {} entries in the metadata table", count));
  Items items;
  for (std::size_t at = kEntrySize; at < (count + 1U) * kEntrySize; at += kEntrySize) {
    const auto guid = table.text(at, 16);
    if (guid == kParentLocator)
      return fail(Errc::image_unsupported, "vhdx: a parent locator, so it needs another image",
                  kFlatten);
    std::uint64_t* wanted = guid == kFileParameters    ? &items.parameters
                            : guid == kVirtualDiskSize ? &items.size
                                                       : nullptr;
    if (wanted == nullptr) continue;
    const std::uint64_t offset = table.le<std::uint32_t>(at + 16);
    if (*wanted != 0 || offset < kTableSize || offset + 8 > region.length)
      return fail(Errc::image_corrupt,
                  fmt::format("vhdx: metadata item at byte {} is double or out of range", offset));
    *wanted = region.offset + offset;
  }
  if (items.parameters == 0 || items.size == 0)
    return fail(Errc::image_corrupt, "vhdx: file parameters or virtual disk size are missing");
  return items;
}

}  // namespace

Result<ForeignHeader> check_vhdx(const ForeignFile& file) {
  const ForeignHeader later{0, false};
  std::array<std::byte, 8> item{};
  INGOT_TRY_ASSIGN(const bool start_there, file.read(0, item));
  if (!start_there) return later;
  if (Fields(item).text(0, 8) != "vhdxfile")
    return fail(Errc::image_corrupt, "vhdx: wrong signature at byte 0");

  std::vector<std::byte> table(kTableSize);
  INGOT_TRY_ASSIGN(const bool regions_there, file.read(kRegionTableAt, table));
  if (!regions_there) return later;
  INGOT_TRY_ASSIGN(const Region region, metadata_region(Fields(table)));
  INGOT_TRY_ASSIGN(const bool metadata_there, file.read(region.offset, table));
  if (!metadata_there) return later;
  INGOT_TRY_ASSIGN(const Items items, find_items(Fields(table), region));

  INGOT_TRY_ASSIGN(const bool parameters_there, file.read(items.parameters, item));
  if (!parameters_there) return later;
  constexpr std::uint32_t kHasParent = 2;
  if ((Fields(item).le<std::uint32_t>(4) & kHasParent) != 0)
    return fail(Errc::image_unsupported,
                "vhdx: the has-parent flag is set (differencing), so it needs another image",
                kFlatten);
  INGOT_TRY_ASSIGN(const bool size_there, file.read(items.size, item));
  if (!size_there) return later;
  const auto size = Fields(item).le<std::uint64_t>(0);
  if (size == 0 || size > kMaxForeignSize)
    return fail(Errc::image_corrupt,
                fmt::format("vhdx: virtual disk size {} is out of range", size));
  return ForeignHeader{align_up(size, 512), true};
}

}  // namespace ingot::imaging
