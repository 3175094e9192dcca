#include "disk/table/table_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "disk/claim.hpp"
#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"
#include "disk/gpt_sector.hpp"
#include "disk/table/filesystem_label.hpp"
#include "disk/table/gpt_plan.hpp"
#include "disk/table/mbr.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kEnd = 1 * MiB;  // as much as the writer withholds at either end
constexpr std::uint64_t kConfigDrivePartition = 64 * MiB;
constexpr const char* kCheckImage =
    "check the image with sgdisk --verify or sfdisk --verify, and rebuild it";

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

class Planner {
 public:
  Planner(const ImageView& image, const TableDisk& disk, std::optional<std::uint64_t> drive)
      : given_(image),
        image_{image.size, [this](auto offset, auto bytes) { return read(offset, bytes); },
               image.final},
        disk_(disk),
        drive_(drive) {}

  Result<TablePlan> run() {
    INGOT_TRY_ASSIGN(plan_.known, make());
    return std::move(plan_);
  }

 private:
  static tl::unexpected<Error> no_table() {
    return fail(Errc::device_no_room,
                "the image has no partition table, so there is no place for a config drive",
                "use an image of a whole disk, or leave the config drive out");
  }

  static tl::unexpected<Error> contradiction() {
    return fail(Errc::image_corrupt,
                "the image's GPT is damaged: its fields contradict each other or the disk's size",
                kCheckImage);
  }

  // Behind the image's end there is nothing of it.
  Result<bool> read(std::uint64_t offset, std::span<std::byte> bytes) const {
    if (given_.size) {
      const std::uint64_t there =
          std::min<std::uint64_t>(bytes.size(), *given_.size - std::min(offset, *given_.size));
      std::memset(bytes.data() + there, 0, bytes.size() - there);
      bytes = bytes.first(there);
    }
    return bytes.empty() ? Result<bool>(true) : given_.read(offset, bytes);
  }

  Result<bool> make() {
    head_.resize(std::min(kEnd, disk_.size));
    if (given_.size) head_.resize(std::min<std::uint64_t>(head_.size(), *given_.size));
    INGOT_TRY_ASSIGN(const bool there, read(0, head_));
    if (!there) return false;
    plan_.sector = disk_.sector;
    if (!disk_.fixed_sector && !has_gpt(head_, 512) && has_gpt(head_, 4096)) plan_.sector = 4096;
    const Mbr mbr = parse_mbr(head_);
    GptPlan gpt(image_, disk_, head_);
    if (mbr.protective || !mbr.valid) INGOT_TRY(refuse_other_sector());
    if (mbr.protective) {
      INGOT_TRY_ASSIGN(const bool judged, gpt.judge());
      if (!judged) return false;
      plan_.sector = gpt.sector();
    } else if (mbr.valid) {
      INGOT_TRY(judge_mbr(mbr));
    }
    if (std::min<std::uint64_t>(kEnd, disk_.size) < std::uint64_t{3} * plan_.sector) {
      if (drive_) return no_table();
      return true;
    }
    INGOT_TRY(copy_table());
    if (mbr.protective && gpt.changed()) INGOT_TRY(change(gpt));
    INGOT_TRY_ASSIGN(PartitionTable table, PartitionTable::open(*plan_.disk, plan_.sector));
    if (mbr.protective && table.kind() != TableKind::gpt) return contradiction();
    if (mbr.valid && table.kind() == TableKind::dos) INGOT_TRY(judge_logical(table));
    if (table.kind() == TableKind::none && drive_) return no_table();
    if (drive_) {
      INGOT_TRY_ASSIGN(const bool placed, place_drive(table));
      if (!placed) return false;
    }
    if (plan_.config_drive_added) {
      INGOT_TRY(write(table));
      plan_.changed = true;
    }
    if (plan_.changed && table.kind() == TableKind::gpt) INGOT_TRY(find_places());
    plan_.table = table.kind();
    plan_.identifier = table.identifier();
    plan_.partitions = table.partitions();
    plan_.notes = std::move(gpt.notes());
    // A rehearsal that could not see all of the table knows no details.
    return !missing_ || table.kind() == TableKind::dos;
  }

  // A GPT header without the MBR that names it is none, but tells what the image was made for.
  Result<void> refuse_other_sector() const {
    const std::uint32_t other = disk_.sector == 512 ? 4096 : 512;
    if (!disk_.fixed_sector || has_gpt(head_, disk_.sector) || !has_gpt(head_, other)) return {};
    return tl::unexpected(wrong_sector("GPT", other, "no firmware would find its partitions"));
  }

  [[nodiscard]] Error wrong_sector(std::string_view table, std::uint32_t made_for,
                                   std::string_view outcome) const {
    return Error(
        Errc::device_sector_size,
        fmt::format("the image's {} was made for sectors of {} bytes, {} has sectors of {}: {}",
                    table, made_for, disk_.name, disk_.sector, outcome),
        "use an image that was built for this sector size, or a disk of the other kind");
  }

  [[nodiscard]] Error partition_behind(unsigned number, std::uint64_t end) const {
    return Error(Errc::device_too_small,
                 fmt::format("partition {} of the image's MBR ends at byte {}, and {} has {} ({}): "
                             "it takes a disk of {} bytes ({})",
                             number, end, disk_.name, disk_.size, format_bytes(disk_.size), end,
                             format_bytes(end)),
                 "choose a larger disk, or an image whose partitions end sooner");
  }

  // An MBR counts in sectors and does not say how large they are. With sectors of 4096 bytes a
  // table made for 512 runs off the image, which it was made within.
  Result<void> judge_mbr(const Mbr& mbr) const {
    const std::uint64_t sector = disk_.sector;
    const std::uint64_t room = given_.size ? std::min(*given_.size, disk_.size) : disk_.size;
    std::uint64_t end = 0;  // of 33 bits
    const MbrEntry* behind = nullptr;
    for (const MbrEntry& entry : mbr.used) {
      const std::uint64_t here = std::uint64_t{entry.first} + entry.count;
      if (here * sector > disk_.size && (behind == nullptr || here > end)) behind = &entry;
      end = std::max(end, here);
    }
    if (disk_.fixed_sector && sector != 512 && end * sector > room && end * 512 <= room)
      return tl::unexpected(wrong_sector("MBR", 512, "its partitions would be elsewhere"));
    if (const auto both = overlapping(mbr))
      return fail(Errc::image_corrupt,
                  fmt::format("the image's MBR is damaged: partitions {} and {} overlap",
                              both->first.number, both->second.number),
                  "check the image with sfdisk --verify, and rebuild it");
    if (behind != nullptr) return tl::unexpected(partition_behind(behind->number, end * sector));
    return {};
  }

  Result<void> judge_logical(const PartitionTable& table) const {
    if (const auto& behind = table.behind_disk(); behind && !missing_)
      return tl::unexpected(partition_behind(behind->number, behind->offset + behind->size));
    return {};
  }

  // Of the disk, between the two ends that the writer withholds.
  [[nodiscard]] ByteRange middle() const {
    const std::uint64_t head = std::min(kEnd, disk_.size);
    return {head, std::max(head, disk_.size > kEnd ? align_down(disk_.size - kEnd, kBufferAlignment)
                                                   : 0)};
  }

  // A disk in memory with the image's head, its tail where the disk's is, and what of the table
  // lies elsewhere.
  Result<void> copy_table() {
    INGOT_TRY_ASSIGN(plan_.disk, ShadowDisk::make(disk_.size));
    INGOT_TRY(plan_.disk->put(0, head_));
    const auto [head_end, tail_begin] = middle();
    if (tail_begin < disk_.size && given_.size.value_or(0) > tail_begin) {
      std::vector<std::byte> tail(disk_.size - tail_begin);
      INGOT_TRY_ASSIGN(const bool there, read(tail_begin, tail));
      if (there) INGOT_TRY(plan_.disk->put(tail_begin, tail));
    }
    const auto elsewhere = [this](std::uint64_t offset,
                                  std::span<std::byte> bytes) -> Result<void> {
      INGOT_TRY_ASSIGN(const bool there, read(offset, bytes));
      if (there) return {};
      missing_ = true;
      std::ranges::fill(bytes, std::byte{});
      return {};
    };
    INGOT_TRY_ASSIGN(plan_.elsewhere,
                     table_sectors(*plan_.disk, plan_.sector, head_end, tail_begin, elsewhere));
    for (const auto& piece : plan_.elsewhere) INGOT_TRY(plan_.disk->put(piece.offset, piece.bytes));
    return {};
  }

  // libfdisk has the last word: it wants the table to be right before it writes it.
  Result<void> change(const GptPlan& gpt) {
    INGOT_TRY(gpt.put_on(*plan_.disk));
    INGOT_TRY_ASSIGN(PartitionTable table, PartitionTable::open(*plan_.disk, plan_.sector));
    if (table.kind() == TableKind::gpt) INGOT_TRY(write(table));
    plan_.changed = true;
    plan_.backup_moved = gpt.backup_moved();
    plan_.stale_backup = gpt.stale_backup();
    return {};
  }

  // What libfdisk does to a table that is an MBR itself is what it was asked for.
  Result<void> write(PartitionTable& table) {
    INGOT_TRY(table.write());
    return table.kind() == TableKind::gpt ? keep_mbr(*plan_.disk, head_) : Result<void>{};
  }

  // Where both copies lie as the disk gets them: a large or a moved array reaches into its middle.
  Result<void> find_places() {
    plan_.elsewhere.clear();
    plan_.takes.push_back({0, plan_.sector});  // the protective MBR
    const std::uint64_t last = disk_.size / plan_.sector - 1;
    std::vector<std::byte> sector(plan_.sector);
    for (const std::uint64_t lba : {std::uint64_t{1}, last}) {
      INGOT_TRY(plan_.disk->get(lba * plan_.sector, sector));
      const auto header = parse_gpt_header(sector, lba);
      if (!header || header->entries > last) return contradiction();
      const ByteRange array{header->entries * plan_.sector,
                            (header->entries + header->entry_sectors(plan_.sector)) * plan_.sector};
      plan_.takes.push_back({lba * plan_.sector, (lba + 1) * plan_.sector});
      plan_.takes.push_back(array);
      const auto part = overlap(array, middle());
      if (!part) continue;
      TableSectors piece{part->begin, std::vector<std::byte>(part->end - part->begin)};
      INGOT_TRY_ASSIGN(const bool there, read(piece.offset, piece.bytes));
      if (!there) std::ranges::fill(piece.bytes, std::byte{});
      plan_.elsewhere.push_back(std::move(piece));
    }
    return {};
  }

  // False: there is no room, unless a partition is labelled that cannot be seen yet.
  Result<bool> place_drive(PartitionTable& table) {
    std::vector<Partition> found;
    bool unseen = false;
    for (const Partition& partition : table.partitions())
      if (!partition.container && same_letters(partition.name, kConfigDriveLabel))
        found.push_back(partition);
    if (!given_.final && found.empty()) {
      // Before the image is there, only what may decide is looked at.
      const auto added = add(table);
      if (added || added.error().code() != Errc::device_no_room) return added;
    }
    if (given_.final || found.empty()) {
      INGOT_TRY_ASSIGN(unseen, find_labelled(table, found));
    }
    if (found.size() > 1)
      return fail(
          Errc::image_corrupt,
          fmt::format("the image has {} partitions labelled config-2 ({} and {}): no telling "
                      "which one is the config drive's",
                      found.size(), found[0].number, found[1].number),
          "use an image with one of them, or none");
    if (found.empty()) return unseen && !given_.final ? Result<bool>(false) : add(table);
    if (found[0].size < *drive_)
      return fail(Errc::device_no_room,
                  fmt::format("the image's config-2 partition has {}, the config drive {}",
                              format_bytes(found[0].size), format_bytes(*drive_)),
                  "use an image with a larger one, or with none");
    plan_.config_drive = found[0];
    return true;
  }

  // Whether there are some that could not be looked at.
  Result<bool> find_labelled(const PartitionTable& table, std::vector<Partition>& found) const {
    bool unseen = missing_;
    for (const Partition& partition : table.partitions()) {
      if (partition.container || same_letters(partition.name, kConfigDriveLabel)) continue;
      bool seen = true;
      INGOT_TRY_ASSIGN(
          const std::string label,
          filesystem_label(partition, plan_.sector,
                           [&](std::uint64_t offset, std::span<std::byte> bytes) -> Result<void> {
                             INGOT_TRY_ASSIGN(seen, read(offset, bytes));
                             if (!seen) std::ranges::fill(bytes, std::byte{});
                             return {};
                           }));
      unseen = unseen || !seen;
      if (same_letters(label, kConfigDriveLabel)) found.push_back(partition);
    }
    std::ranges::sort(found, {}, &Partition::number);
    return unseen;
  }

  [[nodiscard]] std::uint64_t least() const { return align_up(*drive_, MiB); }

  Result<bool> add(PartitionTable& table) {
    INGOT_TRY_ASSIGN(plan_.config_drive,
                     table.add(kConfigDrivePartition, least(), std::string(kConfigDriveLabel)));
    plan_.config_drive_added = true;
    return true;
  }

  const ImageView& given_;
  const ImageView image_;  // the same, with zeros behind its end
  const TableDisk& disk_;
  const std::optional<std::uint64_t> drive_;
  std::vector<std::byte> head_;
  bool missing_ = false;  // what of the table lies elsewhere could not be read
  TablePlan plan_;
};

}  // namespace

TableDisk table_disk(const Claim& target) {
  return {target.path, target.size, target.logical_sector, target.block_device};
}

Result<TablePlan> plan_table(const ImageView& image, const TableDisk& disk,
                             std::optional<std::uint64_t> drive) {
  return Planner(image, disk, drive).run();
}

}  // namespace ingot::disk
