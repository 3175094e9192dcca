#include "disk/table/table_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include "disk/core/units.hpp"
#include "disk/gpt_sector.hpp"
#include "disk/read_target.hpp"
#include "disk/table/filesystem_label.hpp"
#include "disk/table/finish_disk.hpp"
#include "disk/table/gpt.hpp"
#include "disk/table/mbr.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kEnd = 1 * MiB;  // as much as the writer withholds at either end
constexpr std::uint64_t kMostEntryBytes = 1 * MiB;

// The MBR: entries of 16 bytes. Source: UEFI 2.10, 5.2.
constexpr std::size_t kMbrEntries = 446, kMbrEntryBytes = 16, kMbrEntryCount = 4, kMbrType = 4;
constexpr std::size_t kMbrEndChs = 5, kMbrSize = 12;
constexpr auto kProtective = std::byte{0xEE};

// The GPT header. Source: UEFI 2.10, 5.3.2.
constexpr std::size_t kHeaderCrc = 16, kAlternate = 32, kFirstUsable = 40, kEntryLba = 72,
                      kEntryCount = 80, kEntrySize = 84, kEntriesCrc = 88;
constexpr std::size_t kTypeGuidBytes = 16;

// GPT and MBR are little-endian, as is every machine this runs on.
template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool holds(const Partition& partition, std::uint64_t offset) {
  return offset >= partition.offset && offset - partition.offset < partition.size;
}

std::string title(const Partition& partition) {
  std::string text = fmt::format("partition {}", partition.number);
  // A name is somebody's text: nothing that a terminal would obey.
  std::string name = partition.name;
  std::ranges::replace_if(
      name, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return name.empty() ? text : fmt::format("{} '{}'", text, name);
}

}  // namespace

Result<TableComparison> TableComparison::open(const Claim& target, DifferenceMap& differences) {
  TableComparison made(target, differences);
  INGOT_TRY(made.read());
  return made;
}

Result<void> TableComparison::read() {
  head_.resize(std::min(kEnd, target_.size));
  tail_offset_ = std::max<std::uint64_t>(
      head_.size(), target_.size > kEnd ? align_down(target_.size - kEnd, kBufferAlignment) : 0);
  tail_.resize(target_.size - tail_offset_);
  INGOT_TRY(read_target(target_, 0, head_));
  INGOT_TRY(read_target(target_, tail_offset_, tail_));
  sector_ = target_.logical_sector;
  if (!target_.block_device && !has_gpt(head_, 512) && has_gpt(head_, 4096)) sector_ = 4096;
  INGOT_TRY_ASSIGN(auto table, table_of({{0, head_}, {tail_offset_, tail_}}));
  if (!table) return {};
  kind_ = table->kind();
  partitions_ = table->partitions();
  for (const Partition& partition : partitions_) {
    if (partition.container) continue;
    bool drive = same_letters(partition.name, kConfigDriveLabel);
    if (!drive) {
      INGOT_TRY_ASSIGN(const std::string label, filesystem_label(target_, partition));
      drive = same_letters(label, kConfigDriveLabel);
    }
    if (!drive) continue;
    drives_.push_back(partition);
    differences_.ignore(partition.offset, partition.offset + partition.size);
  }
  return {};
}

// The table of a disk of the target's size with these pieces, of which later ones count; what of it
// lies in neither end is read from the target.
Result<std::optional<PartitionTable>> TableComparison::table_of(
    std::initializer_list<Piece> pieces) const {
  if (target_.size < std::uint64_t{3} * sector_) return std::optional<PartitionTable>();
  INGOT_TRY_ASSIGN(ShadowDisk disk, ShadowDisk::make(target_.size));
  for (const Piece& piece : pieces) INGOT_TRY(disk.put(piece.offset, piece.bytes));
  const auto read = [this](std::uint64_t offset, std::span<std::byte> bytes) {
    return read_target(target_, offset, bytes);
  };
  INGOT_TRY_ASSIGN(const auto elsewhere,
                   table_sectors(disk, sector_, head_.size(), tail_offset_, read));
  for (const auto& piece : elsewhere) INGOT_TRY(disk.put(piece.offset, piece.bytes));
  INGOT_TRY_ASSIGN(PartitionTable table, PartitionTable::open(disk, sector_));
  if (table.kind() == TableKind::none) return std::optional<PartitionTable>();
  return std::optional<PartitionTable>(std::move(table));
}

Result<std::vector<std::string>> TableComparison::compare(std::span<const std::byte> image,
                                                          std::uint64_t image_size) {
  std::vector<std::byte> expected(image.begin(), image.end());
  if (partitions_.empty()) {
    // A disk without a table has to have the image's.
    INGOT_TRY_ASSIGN(const auto table, table_of({{0, image}}));
    if (table) partitions_ = table->partitions();
  }
  const auto disk = std::span<const std::byte>(head_).first(expected.size());
  const bool same = std::memcmp(disk.data(), expected.data(), expected.size()) == 0;
  if (expected.size() >= std::size_t{3} * sector_) {
    // A header that no protective MBR names is no table to the writer: bytes as all others.
    const bool gpt = parse_mbr(expected).protective;
    if (!same && gpt && has_gpt(disk, sector_) && !sound(expected)) {
      INGOT_TRY(accept_rebuilt(expected, image_size));
    } else if (gpt && has_gpt(expected, sector_) && has_gpt(disk, sector_)) {
      INGOT_TRY(compare_gpt(expected, same));
    } else if (!same && !gpt && kind_ == TableKind::dos) {
      accept_entries(expected, kMbrEntries, kMbrEntryCount, kMbrEntryBytes, kMbrEntryBytes);
    }
  }
  differences_.compare(0, disk, expected);
  if (added_) {
    differences_.forgive(added_->offset, added_->offset + added_->size);
    notes_.push_back(
        fmt::format("{} is not the image's: its content was not compared", title(*added_)));
  }
  for (const Partition& drive : drives_)
    if ((!added_ || added_->number != drive.number) &&
        differences_.forgive(drive.offset, drive.offset + drive.size))
      notes_.push_back(
          fmt::format("{} holds a config drive: its content is not the image's", title(drive)));
  return notes_;
}

// An entry that is empty in the image and not on the disk is the partition that may be there more.
// `type_bytes`: how much of an entry is zeros when it is empty.
void TableComparison::accept_entries(std::vector<std::byte>& expected, std::uint64_t entries,
                                     std::uint64_t count, std::uint64_t size,
                                     std::uint64_t type_bytes) {
  for (std::uint64_t i = 0; i < count && !added_; ++i) {
    const auto here = std::span(expected).subspan(entries + i * size, size);
    const auto there = std::span<const std::byte>(head_).subspan(entries + i * size, size);
    if (!all_zero(here.first(type_bytes)) || all_zero(there.first(type_bytes))) continue;
    const auto known = std::ranges::find(partitions_, i + 1, &Partition::number);
    if (known == partitions_.end()) continue;
    added_ = *known;
    std::ranges::copy(there, here.begin());
  }
}

// A protective entry that is the only one may tell the disk's size instead of the image's.
void TableComparison::accept_protective_size(std::vector<std::byte>& expected) const {
  std::byte* const entry = expected.data() + kMbrEntries;
  const std::byte* const there = head_.data() + kMbrEntries;
  const auto others = std::span(expected).subspan(kMbrEntries + kMbrEntryBytes,
                                                  (kMbrEntryCount - 1) * kMbrEntryBytes);
  if (!all_zero(others) || entry[kMbrType] != kProtective || there[kMbrType] != kProtective) return;
  std::memcpy(entry + kMbrEndChs, there + kMbrEndChs, 3);
  std::memcpy(entry + kMbrSize, there + kMbrSize, 4);
}

// Whether the primary GPT in an image's head is right. An array elsewhere is not looked at.
bool TableComparison::sound(std::span<const std::byte> head) const {
  const auto header = parse_gpt_header(head.subspan(sector_, sector_), 1);
  if (!header) return false;
  const auto begin = checked_mul(header->entries, std::uint64_t{sector_});
  if (!begin || *begin > head.size() || header->entry_bytes() > head.size() - *begin) return true;
  return gpt_entries_match(*header, head.subspan(*begin));
}

// What was rebuilt from the image's backup has to be sound, and its own backup to say the same. The
// image's backup has passed by and cannot be asked.
Result<void> TableComparison::accept_rebuilt(std::vector<std::byte>& expected,
                                             std::uint64_t image_size) {
  const std::vector<std::byte> image = expected;
  const auto header =
      parse_gpt_header(std::span<const std::byte>(head_).subspan(sector_, sector_), 1);
  if (!header || !sound(head_)) return {};
  const auto begin = checked_mul(header->entries, std::uint64_t{sector_});
  const std::uint64_t length = header->entry_sectors(sector_) * sector_;
  std::memcpy(expected.data() + sector_, head_.data() + sector_, sector_);
  if (begin && *begin <= expected.size() && length <= expected.size() - *begin)
    std::memcpy(expected.data() + *begin, head_.data() + *begin, length);
  accept_protective_size(expected);
  notes_.emplace_back(
      "the image's primary GPT is damaged: the disk's was rebuilt, and is not compared with it");
  INGOT_TRY(compare_backup(image, expected, length, false));
  // On a larger disk there are zeros where the image has its backup.
  const std::uint64_t old = image_size >= sector_ ? (image_size / sector_ - 1) * sector_ : 0;
  if (old < length || old + sector_ > align_down(target_.size, sector_) - sector_) return {};
  return accept_zeroed_backup(expected, {old - length, old + sector_});
}

Result<void> TableComparison::compare_gpt(std::vector<std::byte>& expected, bool same) {
  const std::vector<std::byte> image = expected;
  const auto header = std::span<const std::byte>(image).subspan(sector_, sector_);
  const auto there = std::span<const std::byte>(head_).subspan(sector_, sector_);
  const auto lba = number_at<std::uint64_t>(header, kEntryLba);
  const std::uint64_t size = number_at<std::uint32_t>(header, kEntrySize);
  const std::uint64_t count = number_at<std::uint32_t>(header, kEntryCount);
  const std::uint64_t bytes = size * count;  // of 32 bits each
  if (size < kTypeGuidBytes || bytes == 0 || bytes > kMostEntryBytes) return {};
  accept_protective_size(expected);
  const std::pair<std::size_t, std::size_t> may_change[] = {
      {kHeaderCrc, 4}, {kAlternate, 8}, {kFirstUsable, 16}, {kEntriesCrc, 4}};
  for (const auto& [at, length] : may_change)
    std::memcpy(expected.data() + sector_ + at, there.data() + at, length);
  if (lba < expected.size() / sector_)
    accept_entries(expected, lba * sector_,
                   std::min(count, (expected.size() - lba * sector_) / size), size, kTypeGuidBytes);

  // What was taken over has to make sense: both copies are sound and say the same.
  INGOT_TRY(compare_backup(image, expected, align_up(bytes, sector_), same));
  if (std::memcmp(head_.data(), expected.data(), expected.size()) != 0) return {};
  // An entry outside the head that differs says so itself.
  const auto found = differences_.summary();
  if (const auto array = checked_mul(lba, std::uint64_t{sector_});
      found && array && found->first >= *array && found->first - *array < bytes)
    return {};
  // Without its last sector the disk has no backup that could stand in for the primary.
  const std::vector<std::byte> no_header(sector_);
  const std::uint64_t last = (target_.size / sector_ - 1) * sector_;
  INGOT_TRY_ASSIGN(const auto primary,
                   table_of({{0, head_}, {tail_offset_, tail_}, {last, no_header}}));
  if (!primary || primary->kind() != TableKind::gpt) {
    differences_.add(sector_, kDifferenceSector, sector_ + kHeaderCrc, 1);
    notes_.emplace_back("the disk's primary GPT is damaged");
  }
  return {};
}

// Both are forgiven where the image is smaller than its head: in `expected`, which has yet to be
// compared.
Result<void> TableComparison::compare_backup(std::span<const std::byte> image,
                                             std::vector<std::byte>& expected,
                                             std::uint64_t array_bytes, bool same) {
  const std::uint64_t last = (target_.size / sector_ - 1) * sector_;
  // A copy of the image as it was has its backup where the image has it, compared as any byte is.
  if (gpt_backup_offset(head_, sector_) != last) return {};
  if (array_bytes > last) return {};
  backup_ = last - array_bytes;
  const bool rewritten = differences_.forgive(align_down(backup_, kDifferenceSector),
                                              align_up(target_.size, kDifferenceSector));
  const ByteRange in_head = behind_table(expected, {backup_, expected.size()});
  if (in_head.begin < in_head.end)
    std::memcpy(expected.data() + in_head.begin, head_.data() + in_head.begin,
                in_head.end - in_head.begin);
  if (same && !rewritten) return {};  // both copies are the image's
  // It may begin before the tail. The image's protective MBR: the disk's own may be what is wrong.
  std::vector<std::byte> end(target_.size - backup_);
  INGOT_TRY(read_target(target_, backup_, end));
  INGOT_TRY_ASSIGN(const auto backup, table_of({{0, image.first(sector_)}, {backup_, end}}));
  if (!backup || backup->kind() != TableKind::gpt || backup->partitions() != partitions_) {
    differences_.add(last, kDifferenceSector, last, 1);
    notes_.emplace_back(
        "the backup GPT at the disk's end is missing, damaged, or not the same as "
        "the primary one");
  }
  const auto old = gpt_backup_offset(image, sector_);
  if (!old || *old == last || *old >= target_.size || *old < array_bytes) return {};
  return accept_zeroed_backup(expected,
                              {*old - array_bytes, std::min(*old + sector_, target_.size)});
}

// What of `range` a backup may take: nothing of the primary GPT, and nothing at all where a
// partition lies.
ByteRange TableComparison::behind_table(std::span<const std::byte> expected,
                                        ByteRange range) const {
  const auto header = expected.subspan(sector_, sector_);
  const auto array =
      checked_mul(number_at<std::uint64_t>(header, kEntryLba), std::uint64_t{sector_});
  const std::uint64_t bytes = std::uint64_t{number_at<std::uint32_t>(header, kEntryCount)} *
                              number_at<std::uint32_t>(header, kEntrySize);  // bounded already
  std::uint64_t table = std::uint64_t{2} * sector_;
  if (array && *array < range.end) table = std::max(table, align_up(*array + bytes, sector_));
  range.begin = std::max(range.begin, table);
  for (const Partition& partition : partitions_)
    if (range.begin < partition.offset + partition.size && partition.offset < range.end)
      range.begin = range.end;
  range.begin = std::min(range.begin, range.end);
  return range;
}

Result<void> TableComparison::accept_zeroed_backup(std::vector<std::byte>& expected,
                                                   ByteRange old) {
  old = behind_table(expected, old);
  std::vector<std::byte> now(old.end - old.begin);
  INGOT_TRY(read_target(target_, old.begin, now));
  for (std::uint64_t at = 0; at + kDifferenceSector <= now.size(); at += kDifferenceSector) {
    if (!all_zero(std::span(now).subspan(at, kDifferenceSector))) continue;
    const std::uint64_t begin = old.begin + at;
    differences_.forgive(begin, begin + kDifferenceSector);
    if (begin < expected.size())
      std::ranges::fill(std::span(expected).subspan(begin).first(
                            std::min(kDifferenceSector, expected.size() - begin)),
                        std::byte{0});
  }
  return {};
}

std::string TableComparison::place_of(std::uint64_t offset) const {
  for (const Partition& partition : partitions_)
    if (!partition.container && holds(partition, offset)) return title(partition);
  if (partitions_.empty()) return {};
  if (offset >= backup_) return "the backup partition table";
  std::uint64_t table = sector_;
  if (has_gpt(head_, sector_)) table = std::uint64_t{34} * sector_;
  return offset < table ? "the partition table" : "no partition";
}

}  // namespace ingot::disk
