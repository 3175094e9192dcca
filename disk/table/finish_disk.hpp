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
#include "disk/table/partition_table.hpp"

namespace ingot::disk {

/// A config drive to be put onto the disk.
struct ConfigDriveRequest {
  std::span<const std::byte> image;  ///< a file system of at most kMaxConfigDrive bytes
};
inline constexpr std::uint64_t kMaxConfigDrive = 64 * 1024 * 1024;
/// Its file system's label, in any case (cloud-init's ConfigDrive data source), and the name of the
/// GPT partition that is made for it.
inline constexpr std::string_view kConfigDriveLabel = "config-2";

/// What the disk looks like now.
struct FinishedDisk {
  TableKind table = TableKind::none;
  std::string identifier;      ///< GPT: the disk's GUID; MBR: 0x and its signature; or ""
  std::size_t partitions = 0;  ///< in the table, the config drive's included
  bool backup_moved = false;   ///< the backup GPT is at the disk's end now, and was not
  std::string problem;         ///< why the table was left as the image has it; or ""
  std::optional<Partition> config_drive;
  bool config_drive_added = false;  ///< its partition is new
};

/// To be called after writer.finish(), which it calls again, and before writer.commit().
///
/// GPT      where the image was made for a smaller disk, the backup header and entries move to the
///          disk's end, both headers are right, and the protective MBR's size follows; boot code,
///          a hybrid MBR and the boot flag of a protective one stay. The image's own backup is
///          zeroed where no partition lies. A disk of the image's size stays as it is, bit by bit.
/// MBR      stays as it is.
/// Drive    goes into the partition whose file system, or GPT name, is config-2; else into a new
///          one at the disk's end, 64 MiB where there is room, else as much as the drive needs.
///          The rest of the partition is zeroed.
/// Dry run  everything but writing; a config-2 partition that is not on the disk cannot be seen.
/// Damage   a GPT that cannot be rewritten stays as it is, with `problem` said; only a config drive
///          makes that an error.
/// Errors   device.no-room; image.corrupt (a damaged GPT; more than one config-2 partition); what
/// the writer meets. The disk is then still unbootable.
Result<FinishedDisk> finish_disk(const Claim& target, DeviceWriter& writer,
                                 const std::optional<ConfigDriveRequest>& config_drive,
                                 bool dry_run);

}  // namespace ingot::disk
