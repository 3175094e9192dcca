// vdi (VirtualBox). Layout: VirtualBox's VDICore.h as summarised in QEMU's documentation of the
// format; little-endian, one 512 byte header.
#include <fmt/format.h>

#include <array>

#include "disk/core/units.hpp"
#include "imaging/foreign_fields.hpp"
#include "imaging/foreign_header.hpp"

namespace ingot::imaging {

Result<ForeignHeader> check_vdi(const ForeignFile& file) {
  constexpr std::uint32_t kSignature = 0xbeda107f;
  constexpr std::uint32_t kVersion = 0x00010001;
  constexpr std::uint32_t kDynamic = 1, kStatic = 2, kDifferencing = 4;

  std::array<std::byte, 512> bytes{};
  INGOT_TRY_ASSIGN(const bool there, file.read(0, bytes));
  if (!there) return ForeignHeader{0, false};
  const Fields header(bytes);

  if (header.le<std::uint32_t>(64) != kSignature)
    return fail(Errc::image_corrupt, "vdi: wrong signature at byte 64");
  if (header.le<std::uint32_t>(68) != kVersion)
    return fail(Errc::image_unsupported,
                fmt::format("vdi: version {:#x}, only 1.1 is known", header.le<std::uint32_t>(68)));
  const auto type = header.le<std::uint32_t>(76);
  if (type == kDifferencing)
    return fail(Errc::image_unsupported, "vdi: image type 4 (differencing) needs a parent image",
                "flatten it first: qemu-img convert, or VBoxManage clonemedium");
  if (type != kDynamic && type != kStatic)
    return fail(
        Errc::image_unsupported,
        fmt::format("vdi: image type {}, only 1 (dynamic) and 2 (static) are whole disks", type));
  if (!header.all_zero(424, 16) || !header.all_zero(440, 16))
    return fail(Errc::image_unsupported, "vdi: the parent UUID is set, so it needs another image",
                "flatten it first: qemu-img convert, or VBoxManage clonemedium");
  const auto size = header.le<std::uint64_t>(368);
  if (size == 0 || size > kMaxForeignSize)
    return fail(Errc::image_corrupt, fmt::format("vdi: disk size {} is out of range", size));

  // The last block may be short, the ones before it not.
  const auto block = header.le<std::uint32_t>(376);
  const auto allocated = header.le<std::uint32_t>(388);
  if (block == 0) return fail(Errc::image_corrupt, "vdi: block size 0");
  if (file.size && allocated != 0) {
    // At most 2^64 - 2^33 + 2^32: no overflow.
    const auto last = std::uint64_t{header.le<std::uint32_t>(344)} +
                      std::uint64_t{allocated - 1} * std::uint64_t{block};
    if (last >= *file.size)
      return fail(Errc::image_truncated,
                  fmt::format("vdi: the last of {} allocated blocks begins at byte {}, the file "
                              "ends at {}",
                              allocated, last, *file.size));
  }
  return ForeignHeader{align_up(size, 512), file.size.has_value()};
}

}  // namespace ingot::imaging
