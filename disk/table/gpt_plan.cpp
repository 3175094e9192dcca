#include "disk/table/gpt_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "disk/core/units.hpp"
#include "disk/gpt_sector.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kUsualEntries = 2;  // the sector behind the primary header
constexpr const char* kCheckImage = "check the image with sgdisk --verify, and rebuild it";

std::string title(const GptEntry& entry) {
  return entry.name.empty() ? fmt::format("partition {}", entry.number)
                            : fmt::format("partition {} '{}'", entry.number, entry.name);
}

bool meet(std::uint64_t first, std::uint64_t last, const GptEntry& entry) {
  return first <= entry.last && entry.first <= last;
}

}  // namespace

Result<bool> GptPlan::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  const auto end = checked_add(offset, std::uint64_t{bytes.size()});
  if (end && *end <= head_.size()) {
    std::memcpy(bytes.data(), head_.data() + offset, bytes.size());
    return true;
  }
  return image_.read(offset, bytes);
}

std::optional<std::uint64_t> GptPlan::image_last(std::uint32_t sector) const {
  if (!image_.size || *image_.size < std::uint64_t{3} * sector) return std::nullopt;
  return *image_.size / sector - 1;
}

Result<GptPlan::Copy> GptPlan::copy_at(std::uint64_t lba, std::uint32_t sector) const {
  Copy copy;
  const auto outside = [&](std::uint64_t first, std::uint64_t length) {
    const auto begin = checked_mul(first, std::uint64_t{sector});
    const auto end = begin ? checked_add(*begin, length) : std::nullopt;
    return !end || (image_.size && *end > *image_.size);
  };
  if (outside(lba, sector)) return copy;
  copy.sector.resize(sector);
  INGOT_TRY_ASSIGN(const bool header_there, read(lba * sector, copy.sector));
  if (!header_there) {
    copy.state = State::unknown;
    return copy;
  }
  const auto header = parse_gpt_header(copy.sector, lba);
  if (!header) {
    copy.unreadable = unreadable_gpt_entries(copy.sector, lba);
    return copy;
  }
  copy.header = *header;
  copy.state = State::wrong_entries;
  const std::uint64_t length = header->entry_sectors(sector) * sector;
  if (outside(header->entries, length)) return copy;
  copy.entries.resize(length);
  INGOT_TRY_ASSIGN(const bool entries_there, read(header->entries * sector, copy.entries));
  if (!entries_there)
    copy.state = State::unknown;
  else if (gpt_entries_match(*header, copy.entries))
    copy.state = State::right;
  return copy;
}

Error GptPlan::other_sector(std::uint32_t made_for) const {
  return Error(
      Errc::device_sector_size,
      fmt::format("the image's GPT was made for sectors of {} bytes, {} has sectors of {}: "
                  "no firmware would find its partitions",
                  made_for, disk_.name, disk_.sector),
      "use an image that was built for this sector size, or a disk of the other kind");
}

// Hybrid images have headers for both sizes: the disk's own counts.
Result<bool> GptPlan::choose_sector() {
  const std::uint32_t other = disk_.sector == 512 ? 4096 : 512;
  if (has_gpt(head_, disk_.sector)) return true;
  bool made_for_other = has_gpt(head_, other);
  if (!made_for_other) {
    // No primary header at all: the backup's place tells.
    if (!image_.size) return false;
    for (const std::uint32_t size : {disk_.sector, other}) {
      const auto lba = image_last(size);
      if (!lba) continue;
      INGOT_TRY_ASSIGN(const Copy backup, copy_at(*lba, size));
      if (backup.state == State::unknown) return false;
      if (backup.state != State::right) continue;
      made_for_other = size == other;
      break;
    }
  }
  if (made_for_other && disk_.fixed_sector) return tl::unexpected(other_sector(other));
  if (made_for_other) sector_ = other;
  return true;
}

Result<bool> GptPlan::judge() {
  INGOT_TRY_ASSIGN(const bool told, choose_sector());
  if (!told) return false;
  if (disk_.size / sector_ < 3) return fail(Errc::device_too_small, "no room for a GPT");
  last_ = disk_.size / sector_ - 1;
  INGOT_TRY_ASSIGN(table_, copy_at(1, sector_));
  if (table_.state == State::unknown) return false;
  INGOT_TRY(refuse_unreadable(table_));
  if (table_.state == State::right) {
    used_ = gpt_entries(table_.header, table_.entries);
    INGOT_TRY(check_entries());
    INGOT_TRY(compare_backup());
  } else {
    INGOT_TRY_ASSIGN(const bool found, rebuild());
    if (!found) return false;
    used_ = gpt_entries(table_.header, table_.entries);
    INGOT_TRY(check_entries());
  }
  if (changed_) INGOT_TRY(fit());
  return true;
}

Result<void> GptPlan::refuse_unreadable(const Copy& copy) {
  if (copy.unreadable.empty()) return {};
  return fail(Errc::image_corrupt, fmt::format("the image's GPT has {}", copy.unreadable),
              "rebuild the image with a GPT as sgdisk makes it");
}

// A primary copy that is wrong: the backup takes its place.
Result<bool> GptPlan::rebuild() {
  std::vector<std::uint64_t> places;
  const bool header_right = table_.state == State::wrong_entries;
  if (header_right) places.push_back(table_.header.alternate);
  if (const auto last = image_last(sector_)) places.push_back(*last);
  bool unknown = !image_.size;
  Copy backup;
  for (const std::uint64_t place : places) {
    if (place <= 1 || backup.state == State::right) continue;
    INGOT_TRY_ASSIGN(backup, copy_at(place, sector_));
    INGOT_TRY(refuse_unreadable(backup));
    unknown = unknown || backup.state == State::unknown;
  }
  const char* const what = header_right ? "entries do not match their checksum"
                                        : "header is missing or does not match its checksum";
  if (backup.state != State::right) {
    if (unknown) return false;
    return fail(Errc::image_corrupt,
                fmt::format("the image's GPT is damaged: the primary one's {}, and its backup is "
                            "damaged or missing as well",
                            what),
                kCheckImage);
  }
  if (backup.header.lba != last_) stale_ = backup.header.lba * sector_;
  // An entry array that its maker moved stays where it was.
  const std::uint64_t entries = header_right ? table_.header.entries : kUsualEntries;
  table_ = std::move(backup);
  table_.header.entries = entries;
  changed_ = true;
  notes_.push_back(
      fmt::format("the image's primary GPT is damaged (its {}): rebuilt from its backup; what "
                  "stood in its place is replaced",
                  what));
  return true;
}

// What no disk could carry.
Result<void> GptPlan::check_entries() const {
  const std::uint64_t array = table_.header.entries;
  const auto array_end = checked_add(array, table_.header.entry_sectors(sector_) - 1);
  if (array < kUsualEntries || !array_end)
    return fail(Errc::image_corrupt, "the image's GPT has its entries in its header's place",
                kCheckImage);
  std::vector<const GptEntry*> sorted;
  for (const GptEntry& entry : used_) {
    if (entry.first > entry.last || entry.first < kUsualEntries || meet(array, *array_end, entry))
      return fail(Errc::image_corrupt,
                  fmt::format("the image's GPT is damaged: {} ends before it begins, or lies over "
                              "the table itself",
                              title(entry)),
                  kCheckImage);
    sorted.push_back(&entry);
  }
  std::ranges::sort(sorted, {}, &GptEntry::first);
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i]->first <= sorted[i - 1]->last)
      return fail(Errc::image_corrupt,
                  fmt::format("the image's GPT is damaged: {} and {} overlap",
                              title(*sorted[i - 1]), title(*sorted[i])),
                  kCheckImage);
  return {};
}

// A primary copy that is right wins. Is anything to be done all the same?
Result<void> GptPlan::compare_backup() {
  const GptHeader& header = table_.header;
  Copy backup;
  if (header.alternate > 1) {
    INGOT_TRY_ASSIGN(backup, copy_at(header.alternate, sector_));
  }
  const bool right = backup.state == State::right;
  const bool same = right && same_gpt(table_.sector, backup.sector);
  if (right && !same)
    notes_.emplace_back(
        "the image's backup GPT does not say the same as the primary one: rewritten from it");
  if (header.alternate != last_) {
    changed_ = true;
    backup_moved_ = header.alternate < last_;
    stale_ = checked_mul(header.alternate, std::uint64_t{sector_});
    if (header.alternate > last_)
      notes_.push_back(
          fmt::format("the image's GPT was made for a larger disk, of {} sectors: "
                      "made right for this one, of {}",
                      header.alternate + (header.alternate < UINT64_MAX ? 1 : 0), last_ + 1));
    return {};
  }
  std::uint64_t end = 0;
  for (const GptEntry& entry : used_) end = std::max(end, entry.last);
  const std::uint64_t behind = right ? std::min(backup.header.entries, last_) : last_;
  const bool backup_clear = header.last_usable < behind && end < behind;
  const bool usable =
      header.first_usable <= header.last_usable + 1 && header.first_usable >= table_end() &&
      std::ranges::all_of(used_, [&header](const GptEntry& entry) {
        return entry.first >= header.first_usable && entry.last <= header.last_usable;
      });
  if (backup_clear && usable && (same || backup.state == State::unknown)) return {};
  changed_ = true;
  if (!right)
    notes_.emplace_back(
        "the image's backup GPT is damaged or missing: rewritten from the primary one");
  else if (same && !backup_clear)
    notes_.emplace_back("the image's GPT says that the place of its backup can be used: corrected");
  if (backup_clear && !usable)
    notes_.emplace_back(
        "the sectors that the image's GPT says can be used are not those of its partitions, or "
        "are the table's own: corrected");
  return {};
}

// The first sector behind the primary entries; 0 if they lie behind a partition.
std::uint64_t GptPlan::table_end() const {
  const std::uint64_t array = table_.header.entries;  // check_entries() has its end
  const bool in_front =
      std::ranges::all_of(used_, [array](const GptEntry& entry) { return array < entry.first; });
  return in_front ? array + table_.header.entry_sectors(sector_) : 0;
}

Error GptPlan::partition_behind(const GptEntry& entry) const {
  const std::uint64_t behind = 2 + table_.header.entry_sectors(sector_);  // the backup's sectors
  const auto sectors = checked_add(entry.last, behind);
  const auto needed = sectors ? checked_mul(*sectors, std::uint64_t{sector_}) : std::nullopt;
  return Error(
      needed ? Errc::device_too_small : Errc::image_corrupt,
      fmt::format(
          "{} of the image's GPT ends at sector {}, and {} has {} sectors of {} bytes ({})"
          "{}",
          title(entry), entry.last, disk_.name, last_ + 1, sector_, format_bytes(disk_.size),
          needed ? fmt::format(": it takes a disk of {} bytes ({})", *needed, format_bytes(*needed))
                 : ""),
      needed ? "choose a larger disk, or an image whose partitions end sooner" : kCheckImage);
}

// The copies that the disk gets: the backup in its last sectors.
Result<void> GptPlan::fit() {
  GptHeader& header = table_.header;
  const std::uint64_t array = header.entry_sectors(sector_);
  const GptEntry* farthest = nullptr;
  for (const GptEntry& entry : used_)
    if (farthest == nullptr || entry.last > farthest->last) farthest = &entry;
  if (farthest != nullptr && (last_ < array + 1 || farthest->last > last_ - array - 1))
    return tl::unexpected(partition_behind(*farthest));
  if (last_ < array + 1 || header.entries > last_ - array - 1 ||
      array > last_ - array - header.entries)
    return fail(Errc::device_too_small,
                fmt::format("the image's GPT, whose entries take {} sectors from {}, does not fit "
                            "{}, which has {}",
                            array, header.entries, disk_.name, last_ + 1),
                "choose a larger disk");
  header.last_usable = last_ - array - 1;
  header.first_usable = std::max(header.first_usable, table_end());
  for (const GptEntry& entry : used_)
    header.first_usable = std::min(header.first_usable, entry.first);
  header.first_usable = std::min(header.first_usable, header.last_usable);
  return {};
}

Result<void> GptPlan::put_on(ShadowDisk& shadow) const {
  const std::uint64_t backup_entries = last_ - table_.header.entry_sectors(sector_);
  GptHeader primary = table_.header, backup = table_.header;
  primary.lba = backup.alternate = 1;
  primary.alternate = backup.lba = last_;
  backup.entries = backup_entries;
  std::vector<std::byte> sector = table_.sector;
  for (const GptHeader* copy : {&primary, &backup}) {
    put_gpt_header(sector, *copy);
    INGOT_TRY(shadow.put(copy->lba * sector_, sector));
    INGOT_TRY(shadow.put(copy->entries * sector_, table_.entries));
  }
  return {};
}

}  // namespace ingot::disk
