#include "disk/boot/system_partition.hpp"

#include <blkid/blkid.h>
#include <fmt/format.h>
#include <strings.h>

#include "disk/core/units.hpp"
#include "disk/inventory/blkid_probe.hpp"

namespace ingot::disk {
namespace {

constexpr const char* kGptType = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
constexpr int kMbrType = 0xef;
constexpr int kPrimaries = 4;
constexpr std::size_t kMost = 16;            // a disk has one, or two of a mirror
constexpr std::uint64_t kBlkidSector = 512;  // libblkid's unit, whatever the disk's sectors are

bool same_text(const char* one, const char* other) {
  return one != nullptr && other != nullptr && ::strcasecmp(one, other) == 0;
}

Error none(const std::string& device, const std::string& uuid, const char* table) {
  if (!uuid.empty())
    return Error(Errc::device_unsuitable,
                 fmt::format("{}: no partition has the UUID that was named as the EFI system "
                             "partition's",
                             device),
                 "leave it out, or name one that lsblk -o NAME,PARTUUID shows");
  return Error(
      Errc::device_unsuitable,
      fmt::format("{}: no EFI system partition (partition table: {})", device,
                  table != nullptr ? table : "none"),
      "this machine was started by UEFI: use an image that has one (GPT type "
      "C12A7328-F81F-11D2-BA4B-00A0C93EC93B, MBR type 0xEF), or set the machine to BIOS mode");
}

// Firmware, and efibootmgr, know an MBR disk by its signature.
bool has_signature(blkid_parttable table) {
  const char* id = blkid_parttable_get_id(table);
  return id != nullptr && std::string_view(id).find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

Result<std::vector<SystemPartition>> find_system_partitions(int fd, const std::string& uuid,
                                                            const std::string& device) {
  INGOT_TRY_ASSIGN(const BlkidProbe probe, probe_partitions_of(fd, device));
  const auto size = static_cast<std::uint64_t>(blkid_probe_get_size(probe.get()));
  blkid_partlist list = blkid_probe_get_partitions(probe.get());
  blkid_parttable table = list != nullptr ? blkid_partlist_get_table(list) : nullptr;
  if (table == nullptr) return tl::unexpected(none(device, uuid, nullptr));
  const char* const kind = blkid_parttable_get_type(table);
  const bool gpt = same_text(kind, "gpt");
  const bool mbr = same_text(kind, "dos");
  std::vector<SystemPartition> found;
  const int count = gpt || mbr ? blkid_partlist_numof_partitions(list) : 0;
  for (int i = 0; i < count && found.size() < kMost; ++i) {
    blkid_partition each = blkid_partlist_get_partition(list, i);
    const int number = blkid_partition_get_partno(each);
    if (blkid_partition_get_table(each) != table || number < 1 || (mbr && number > kPrimaries))
      continue;
    const bool is_one = gpt ? same_text(blkid_partition_get_type_string(each), kGptType)
                            : blkid_partition_get_type(each) == kMbrType;
    if (uuid.empty() ? !is_one : !same_text(blkid_partition_get_uuid(each), uuid.c_str())) continue;
    const auto offset =
        checked_mul(static_cast<std::uint64_t>(blkid_partition_get_start(each)), kBlkidSector);
    if (!offset || *offset >= size) continue;
    found.push_back({static_cast<unsigned>(number), *offset});
  }
  if (found.empty()) return tl::unexpected(none(device, uuid, kind));
  if (mbr && !has_signature(table))
    return fail(Errc::device_unsuitable,
                device + ": its MBR has no disk signature, by which firmware finds the disk again",
                "give the image one (sfdisk --disk-id IMAGE 0x…), or use a GPT");
  return found;
}

}  // namespace ingot::disk
