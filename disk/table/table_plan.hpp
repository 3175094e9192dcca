/// plan_table: what an image's partition table is, and has to become, on a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "disk/table/partition_table.hpp"
#include "disk/table/shadow_disk.hpp"
#include "disk/table/table_sectors.hpp"

namespace ingot::disk {

struct Claim;

/// What is known of an image: all of it, or its first bytes before the rest has come.
struct ImageView {
  /// Of the decoded disk, bytes; nothing: not known yet.
  std::optional<std::uint64_t> size;
  /// Reads the decoded disk. False: those bytes are not to be had (yet).
  std::function<Result<bool>(std::uint64_t offset, std::span<std::byte> bytes)> read;
  /// Nothing more will be known: what could not be read is taken for empty (a rehearsal).
  bool final = false;
};

/// The disk that the table has to fit.
struct TableDisk {
  std::string name;  ///< for messages
  std::uint64_t size = 0;
  std::uint32_t sector = 512;
  bool fixed_sector = true;  ///< false, a file: the sector size is the one its table was made for
};

[[nodiscard]] TableDisk table_disk(const Claim& target);

struct TablePlan {
  /// False: what decides has not come yet; nothing else here means anything then.
  bool known = true;
  TableKind table = TableKind::none;
  std::string identifier;  ///< GPT: the disk's GUID; MBR: 0x and its signature; or ""
  std::vector<Partition> partitions;
  /// What was wrong with the image's table and is made right, in sentences for people.
  std::vector<std::string> notes;
  bool changed = false;       ///< the table is another one than the image's
  bool backup_moved = false;  ///< the image's backup GPT is right, but not at this disk's end
  /// Where the image has its backup header, if this disk has it elsewhere.
  std::optional<std::uint64_t> stale_backup;
  /// Where a changed GPT lies on the disk: its MBR, each header, each entry array.
  std::vector<ByteRange> takes;
  std::optional<Partition> config_drive;
  bool config_drive_added = false;  ///< its partition is new

  std::uint32_t sector = 512;
  std::optional<ShadowDisk> disk;  ///< the table as it has to be
  /// What the image has where parts of `disk`'s table lie that are in neither of its ends.
  std::vector<TableSectors> elsewhere;
};

/// What a disk needs and takes without a word, what it gets repaired, and what is refused: the one
/// judge of that, for every command. docs/errors.md has the rules as a table.
///
/// `drive` bytes for a config drive: it goes into the partition whose file system, or GPT name, is
/// config-2; else into a new one.
/// Errors   device.too-small (a partition ends behind the disk), device.sector-size,
/// device.no-room, image.corrupt (a GPT of which no copy is right, or with entries of another size
/// than Linux reads; partitions that overlap; more than one config-2 partition), and those of
/// `read`.
Result<TablePlan> plan_table(const ImageView& image, const TableDisk& disk,
                             std::optional<std::uint64_t> drive);

/// A config drive's file system label, in any case (cloud-init's ConfigDrive data source), and the
/// name of the GPT partition that is made for one.
inline constexpr std::string_view kConfigDriveLabel = "config-2";

}  // namespace ingot::disk
