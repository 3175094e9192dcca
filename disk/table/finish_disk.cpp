#include "disk/table/finish_disk.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "disk/core/units.hpp"
#include "disk/table/table_sectors.hpp"

namespace ingot::disk {
namespace {

class Finish {
 public:
  Finish(const Claim& target, DeviceWriter& writer, const std::optional<ConfigDriveRequest>& drive,
         bool dry_run)
      : target_(target), writer_(writer), drive_(drive), dry_run_(dry_run) {}

  Result<FinishedDisk> run() {
    const ImageView image = writer_.image();
    std::optional<std::uint64_t> drive_size;
    if (drive_) drive_size = drive_->image.size();
    INGOT_TRY_ASSIGN(plan_, plan_table(image, table_disk(target_), drive_size));
    if (!plan_.known && !dry_run_)
      return fail(Errc::internal_bug, "the partition table of a whole image is not known");
    INGOT_TRY_ASSIGN(ends_, writer_.touch_up());
    if (plan_.known) INGOT_TRY(act(image));
    INGOT_TRY(writer_.finish());
    return done_;
  }

 private:
  Result<void> act(const ImageView& image) {
    std::optional<ByteRange> stale;
    if (plan_.stale_backup && !dry_run_) {
      INGOT_TRY_ASSIGN(stale, stale_backup(image, *plan_.stale_backup));
    }
    if (plan_.changed) INGOT_TRY(take_over());
    if (stale) INGOT_TRY(writer_.zero(stale->begin, stale->end - stale->begin));
    if (plan_.config_drive) INGOT_TRY(write_config_drive(*plan_.config_drive));
    done_.table = plan_.table;
    done_.identifier = std::move(plan_.identifier);
    done_.partitions = plan_.partitions.size();
    done_.backup_moved = plan_.backup_moved;
    done_.notes = std::move(plan_.notes);
    done_.config_drive = std::move(plan_.config_drive);
    done_.config_drive_added = plan_.config_drive_added;
    return {};
  }

  // What was planned goes to where it belongs.
  Result<void> take_over() {
    INGOT_TRY(plan_.disk->get(0, ends_.head));
    INGOT_TRY(plan_.disk->get(ends_.tail_offset, ends_.tail));
    for (const auto& piece : plan_.elsewhere) {
      std::vector<std::byte> now(piece.bytes.size());
      INGOT_TRY(plan_.disk->get(piece.offset, now));
      if (now != piece.bytes) INGOT_TRY(write(piece.offset, now));
    }
    return {};
  }

  // The image's own backup would be found again if the disk were ever made smaller.
  Result<std::optional<ByteRange>> stale_backup(const ImageView& image, std::uint64_t header) {
    const std::uint64_t last = (target_.size / plan_.sector - 1) * plan_.sector;
    std::optional<ByteRange> range;
    if (header >= last) return range;
    std::vector<std::byte> sector(plan_.sector);
    INGOT_TRY_ASSIGN(const bool there, image.read(header, sector));
    if (there) range = gpt_backup_range(sector, header, plan_.sector);
    if (!range) return range;  // it is no such thing: left alone
    for (const Partition& partition : plan_.partitions)
      if (range->begin < partition.offset + partition.size && partition.offset < range->end)
        return std::optional<ByteRange>();
    // The new table may lie there as well, when the disk is just a little larger or both copies of
    // the image share their entries: only what comes before it is zeroed.
    for (const ByteRange& taken : plan_.takes)
      if (overlap(*range, taken)) range->end = std::max(range->begin, taken.begin);
    if (range->begin >= range->end) range.reset();
    return range;
  }

  Result<void> write_config_drive(const Partition& partition) {
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
  TablePlan plan_;
  WithheldEnds ends_;
  FinishedDisk done_;
};

}  // namespace

Result<FinishedDisk> finish_disk(const Claim& target, DeviceWriter& writer,
                                 const std::optional<ConfigDriveRequest>& config_drive,
                                 bool dry_run) {
  return Finish(target, writer, config_drive, dry_run).run();
}

}  // namespace ingot::disk
