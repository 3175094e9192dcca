/// finish_disk: what a written and verified image still needs before it is committed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "disk/claim.hpp"
#include "disk/device_writer.hpp"
#include "disk/table/table_plan.hpp"

namespace ingot::disk {

/// A config drive to be put onto the disk.
struct ConfigDriveRequest {
  std::span<const std::byte> image;  ///< a file system of at most kMaxConfigDrive bytes
};
inline constexpr std::uint64_t kMaxConfigDrive = 64 * 1024 * 1024;

/// What the disk looks like now.
struct FinishedDisk {
  TableKind table = TableKind::none;
  std::string identifier;          ///< GPT: the disk's GUID; MBR: 0x and its signature; or ""
  std::size_t partitions = 0;      ///< in the table, the config drive's included
  bool backup_moved = false;       ///< the backup GPT is at the disk's end now, and was not
  std::vector<std::string> notes;  ///< what was wrong with the image's table and is right now
  std::optional<Partition> config_drive;
  bool config_drive_added = false;  ///< its partition is new
};

/// To be called after writer.finish(), which it calls again, and before writer.commit(). What has
/// to be done is plan_table()'s answer, with all of the image at hand.
///
/// GPT      where the image was made for a disk of another size, or one of its copies is damaged,
///          both copies are written again for this disk, and the protective MBR's size follows;
///          boot code, a hybrid MBR and the boot flag of a protective one stay. The image's own
///          backup is zeroed where neither a partition nor the new table lies. A right table on a
///          disk of the image's size stays as it is, bit by bit.
/// MBR      stays as it is.
/// Drive    goes into the partition whose file system, or GPT name, is config-2; else into a new
///          one at the disk's end, 64 MiB where there is room, else as much as the drive needs.
///          The rest of the partition is zeroed.
/// Dry run  everything but writing; a config-2 partition that is not on the disk cannot be seen.
/// Errors   those of plan_table(); what the writer meets. The disk is then still unbootable.
Result<FinishedDisk> finish_disk(const Claim& target, DeviceWriter& writer,
                                 const std::optional<ConfigDriveRequest>& config_drive,
                                 bool dry_run);

}  // namespace ingot::disk
