#include "disk/table/finish_disk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "disk/core/units.hpp"
#include "disk/gpt_sector.hpp"
#include "disk/read_target.hpp"
#include "disk/table/filesystem_label.hpp"
#include "disk/table/table_sectors.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kConfigDrivePartition = 64 * MiB;
constexpr std::size_t kMbrBytes = 512;
constexpr std::size_t kMbrEntries = 446;
constexpr std::size_t kMbrEntryBytes = 16;
constexpr auto kProtective = std::byte{0xEE};

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

class Finish {
 public:
  Finish(const Claim& target, DeviceWriter& writer, const std::optional<ConfigDriveRequest>& drive,
         bool dry_run)
      : target_(target), writer_(writer), drive_(drive), dry_run_(dry_run) {}

  Result<FinishedDisk> run() {
    INGOT_TRY_ASSIGN(ends_, writer_.touch_up());
    INGOT_TRY(finish());
    INGOT_TRY(writer_.finish());
    return done_;
  }

 private:
  static tl::unexpected<Error> no_table() {
    return fail(Errc::device_no_room,
                "the image has no partition table, so there is no place for a config drive",
                "use an image of a whole disk, or leave the config drive out");
  }

  Result<void> finish() {
    // The sector size that the image was made for: a regular file has none of its own.
    sector_ = target_.logical_sector;
    if (!target_.block_device && !has_gpt(ends_.head, 512) && has_gpt(ends_.head, 4096))
      sector_ = 4096;
    if (ends_.head.size() < std::size_t{3} * sector_) return drive_ ? no_table() : Result<void>{};
    INGOT_TRY_ASSIGN(ShadowDisk disk, copy_table());
    INGOT_TRY_ASSIGN(PartitionTable table, PartitionTable::open(disk, sector_));
    if (table.kind() == TableKind::none) return drive_ ? no_table() : Result<void>{};
    const auto old_backup = stale_backup();
    if (table.kind() != TableKind::gpt && has_protective_entry()) {
      // Entries that are elsewhere on the disk are not there in a rehearsal, which is no damage.
      if (dry_run_) return {};
      return left_alone(fail(Errc::image_corrupt,
                             "the image's GPT is damaged: its header or entries do not match their "
                             "checksums or the disk's size",
                             "check the image with sgdisk --verify, and rebuild it"));
    }
    if (table.kind() == TableKind::gpt && old_backup) {
      if (auto written = table.write(); !written)
        return left_alone(tl::unexpected(written.error()));
      INGOT_TRY_ASSIGN(table, PartitionTable::open(disk, sector_));
      if (table.kind() != TableKind::gpt)
        return fail(Errc::internal_bug, "the GPT is not readable after its backup was moved");
      done_.backup_moved = true;
    }
    if (drive_) INGOT_TRY(choose_config_partition(table));
    if (done_.config_drive_added) INGOT_TRY(table.write());
    if (done_.backup_moved || done_.config_drive_added) INGOT_TRY(take_back(disk));
    if (done_.backup_moved) INGOT_TRY(zero_stale(*old_backup, table));
    if (drive_) INGOT_TRY(write_config_drive());
    done_.table = table.kind();
    done_.identifier = table.identifier();
    done_.partitions = table.partitions().size();
    return {};
  }

  // What the image's maker got wrong is on the disk as it is in the image; only a config drive
  // cannot do with that.
  Result<void> left_alone(const tl::unexpected<Error>& problem) {
    if (drive_) return problem;
    done_.problem = problem.value().message();
    return {};
  }

  [[nodiscard]] bool has_protective_entry() const {
    for (std::size_t i = 0; i < 4; ++i)
      if (ends_.head[kMbrEntries + i * kMbrEntryBytes + 4] == kProtective) return true;
    return false;
  }

  // A disk in memory with the head, the tail, and what of the table lies elsewhere.
  Result<ShadowDisk> copy_table() {
    INGOT_TRY_ASSIGN(ShadowDisk disk, ShadowDisk::make(target_.size));
    INGOT_TRY(disk.put(0, ends_.head));
    INGOT_TRY(disk.put(ends_.tail_offset, ends_.tail));
    if (dry_run_) return disk;  // what is elsewhere has not been written
    const auto read = [this](std::uint64_t offset, std::span<std::byte> bytes) {
      return read_target(target_, offset, bytes);
    };
    INGOT_TRY_ASSIGN(elsewhere_,
                     table_sectors(disk, sector_, ends_.head.size(), ends_.tail_offset, read));
    for (const auto& piece : elsewhere_) INGOT_TRY(disk.put(piece.offset, piece.bytes));
    return disk;
  }

  // The place of a backup GPT that is not at the disk's end, though the disk has room behind it.
  [[nodiscard]] std::optional<std::uint64_t> stale_backup() const {
    const auto alternate = gpt_backup_offset(ends_.head, sector_);
    const std::uint64_t last = (target_.size / sector_ - 1) * sector_;
    if (!alternate || *alternate == last) return std::nullopt;
    return alternate;
  }

  // What libfdisk changed goes to where it came from.
  Result<void> take_back(const ShadowDisk& disk) {
    std::array<std::byte, kMbrBytes> mbr{};
    std::memcpy(mbr.data(), ends_.head.data(), mbr.size());
    INGOT_TRY(disk.get(0, ends_.head));
    INGOT_TRY(disk.get(ends_.tail_offset, ends_.tail));
    keep_mbr(mbr);
    for (auto& piece : elsewhere_) {
      std::vector<std::byte> now(piece.bytes.size());
      INGOT_TRY(disk.get(piece.offset, now));
      if (now != piece.bytes) INGOT_TRY(write(piece.offset, now));
    }
    return {};
  }

  // libfdisk writes a new protective MBR: of it, only the size of the disk is wanted. What it does
  // to a table that is an MBR itself is what it was asked for.
  void keep_mbr(std::array<std::byte, kMbrBytes>& old) {
    if (!has_gpt(ends_.head, sector_)) return;
    constexpr std::size_t kEndChs = 5, kType = 4, kCount = 12;
    std::byte* entry = old.data() + kMbrEntries;
    const std::byte* made = ends_.head.data() + kMbrEntries;
    const bool alone = std::all_of(entry + kMbrEntryBytes, entry + 4 * kMbrEntryBytes,
                                   [](std::byte b) { return b == std::byte{}; });
    if (alone && entry[kType] == kProtective && made[kType] == kProtective) {
      std::memcpy(entry + kEndChs, made + kEndChs, 3);
      std::memcpy(entry + kCount, made + kCount, 4);
    }
    std::memcpy(ends_.head.data(), old.data(), old.size());
  }

  // The image's backup would be found again if the disk were ever made smaller.
  Result<void> zero_stale(std::uint64_t header, const PartitionTable& table) {
    if (dry_run_ || header >= target_.size) return {};
    std::vector<std::byte> sector(sector_);
    INGOT_TRY(read_written(header, sector));
    const auto range = gpt_backup_range(sector, header, sector_);
    if (!range) return {};  // it is no such thing: left alone
    for (const Partition& partition : table.partitions())
      if (range->begin < partition.offset + partition.size && partition.offset < range->end)
        return {};
    // The new one may lie there as well, when the disk is just a little larger.
    const std::uint64_t new_backup =
        (target_.size / sector_ - 1) * sector_ - (range->end - range->begin);
    const std::uint64_t end = std::min(range->end, new_backup);
    return range->begin < end ? writer_.zero(range->begin, end - range->begin) : Result<void>{};
  }

  // As the disk will be: from the withheld ends, or from the target.
  Result<void> read_written(std::uint64_t offset, std::span<std::byte> bytes) {
    const std::uint64_t end = offset + bytes.size();
    if (end <= ends_.head.size()) {
      std::memcpy(bytes.data(), ends_.head.data() + offset, bytes.size());
      return {};
    }
    if (offset >= ends_.tail_offset) {
      std::memcpy(bytes.data(), ends_.tail.data() + (offset - ends_.tail_offset), bytes.size());
      return {};
    }
    return read_target(target_, offset, bytes);
  }

  Result<void> choose_config_partition(PartitionTable& table) {
    std::vector<Partition> found;
    for (const Partition& partition : table.partitions()) {
      if (partition.container) continue;
      bool labelled = false;
      if (!dry_run_) {
        INGOT_TRY_ASSIGN(const std::string label, filesystem_label(target_, partition));
        labelled = same_letters(label, kConfigDriveLabel);
      }
      if (labelled || same_letters(partition.name, kConfigDriveLabel)) found.push_back(partition);
    }
    if (found.size() > 1)
      return fail(
          Errc::image_corrupt,
          fmt::format("the image has {} partitions labelled config-2 ({} and {}): no telling "
                      "which one is the config drive's",
                      found.size(), found[0].number, found[1].number),
          "use an image with one of them, or none");
    if (found.empty()) {
      INGOT_TRY_ASSIGN(done_.config_drive,
                       table.add(kConfigDrivePartition, align_up(drive_->image.size(), MiB),
                                 std::string(kConfigDriveLabel)));
      done_.config_drive_added = true;
      return {};
    }
    if (found[0].size < drive_->image.size())
      return fail(Errc::device_no_room,
                  fmt::format("the image's config-2 partition has {}, the config drive {}",
                              format_bytes(found[0].size), format_bytes(drive_->image.size())),
                  "use an image with a larger one, or with none");
    done_.config_drive = found[0];
    return {};
  }

  Result<void> write_config_drive() {
    const Partition& partition = *done_.config_drive;
    INGOT_TRY(write(partition.offset, drive_->image));
    const std::uint64_t size = drive_->image.size();
    return partition.size > size ? writer_.zero(partition.offset + size, partition.size - size)
                                 : Result<void>{};
  }

  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      INGOT_TRY_ASSIGN(const BufferRef buffer, writer_.buffer());
      const std::size_t part = std::min(bytes.size(), buffer.bytes().size());
      std::memcpy(buffer.bytes().data(), bytes.data(), part);
      INGOT_TRY(writer_.write(offset, Slice(buffer, buffer.bytes().first(part))));
      offset += part;
      bytes = bytes.subspan(part);
    }
    return {};
  }

  const Claim& target_;
  DeviceWriter& writer_;
  const std::optional<ConfigDriveRequest>& drive_;
  const bool dry_run_;
  std::uint32_t sector_ = 512;
  WithheldEnds ends_;
  std::vector<TableSectors> elsewhere_;
  FinishedDisk done_;
};

}  // namespace

Result<FinishedDisk> finish_disk(const Claim& target, DeviceWriter& writer,
                                 const std::optional<ConfigDriveRequest>& config_drive,
                                 bool dry_run) {
  return Finish(target, writer, config_drive, dry_run).run();
}

}  // namespace ingot::disk
