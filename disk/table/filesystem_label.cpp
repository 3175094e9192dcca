#include "disk/table/filesystem_label.hpp"

#include <blkid/blkid.h>

#include <algorithm>
#include <vector>

#include "disk/core/units.hpp"
#include "disk/inventory/blkid_probe.hpp"
#include "disk/read_target.hpp"
#include "disk/table/shadow_disk.hpp"

namespace ingot::disk {
namespace {

// Superblocks with a label lie in the first 68 KiB; ISO 9660 has its own at 32 KiB, FAT its root
// directory, which may hold the label, behind its tables.
constexpr std::uint64_t kProbed = 256 * KiB;

}  // namespace

Result<std::string> filesystem_label(const Claim& target, const Partition& partition) {
  return filesystem_label(partition, target.logical_sector,
                          [&target](std::uint64_t offset, std::span<std::byte> bytes) {
                            return read_target(target, offset, bytes);
                          });
}

Result<std::string> filesystem_label(const Partition& partition, std::uint32_t sector,
                                     const ReadAt& read) {
  const std::uint64_t length = std::min(kProbed, align_down(partition.size, sector));
  if (length == 0) return std::string();
  // libblkid reads at any alignment, which a descriptor with O_DIRECT does not.
  INGOT_TRY_ASSIGN(ShadowDisk copy, ShadowDisk::make(partition.size));
  std::vector<std::byte> bytes(length);
  INGOT_TRY(read(partition.offset, bytes));
  INGOT_TRY(copy.put(0, bytes));
  const BlkidProbe probe = probe_of(copy.fd());
  if (!probe) return std::string();
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_LABEL | BLKID_SUBLKS_TYPE);
  if (blkid_do_safeprobe(probe.get()) != 0) return std::string();
  std::string text = value_of(probe, "LABEL");
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace ingot::disk
