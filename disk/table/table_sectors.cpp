#include "disk/table/table_sectors.hpp"

#include <algorithm>
#include <cstring>

#include "disk/core/units.hpp"
#include "disk/gpt_sector.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kMostEntryBytes = MiB;
constexpr int kMostBootRecords = 256;
constexpr std::size_t kEntries = 446, kEntryBytes = 16, kTypeAt = 4, kStartAt = 8;

// GPT and MBR are little-endian, as is every machine this runs on.
template <class T>
T number_at(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

bool extended(std::byte type) {
  return type == std::byte{0x05} || type == std::byte{0x0F} || type == std::byte{0x85};
}

bool is_boot_record(std::span<const std::byte> sector) {
  return sector[510] == std::byte{0x55} && sector[511] == std::byte{0xAA};
}

// Start of the first extended entry of a boot record, in sectors.
std::optional<std::uint64_t> extended_start(std::span<const std::byte> record) {
  for (std::size_t i = 0; i < 4; ++i) {
    const std::byte* entry = record.data() + kEntries + i * kEntryBytes;
    if (extended(entry[kTypeAt])) return number_at<std::uint32_t>(entry + kStartAt);
  }
  return std::nullopt;
}

struct EntryArray {
  std::uint64_t lba;
  std::uint64_t bytes;
};

// Source: UEFI 2.10, 5.3.2: PartitionEntryLBA at 72, NumberOfPartitionEntries at 80, their size 84.
std::optional<EntryArray> entry_array(std::span<const std::byte> header) {
  const auto bytes = std::uint64_t{number_at<std::uint32_t>(header.data() + 80)} *
                     number_at<std::uint32_t>(header.data() + 84);
  if (bytes == 0 || bytes > kMostEntryBytes) return std::nullopt;
  return EntryArray{number_at<std::uint64_t>(header.data() + 72), bytes};
}

}  // namespace

std::optional<ByteRange> overlap(ByteRange a, ByteRange b) {
  const ByteRange both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.begin < both.end ? std::optional(both) : std::nullopt;
}

Result<std::vector<TableSectors>> table_sectors(const ShadowDisk& disk, std::uint32_t sector,
                                                std::uint64_t head, std::uint64_t tail,
                                                const ReadAt& read) {
  std::vector<TableSectors> found;
  std::vector<std::byte> start(std::size_t{2} * sector);
  INGOT_TRY(disk.get(0, start));
  const auto fetch = [&](std::uint64_t offset, std::uint64_t length) -> Result<void> {
    TableSectors piece{offset, std::vector<std::byte>(length)};
    INGOT_TRY(read(offset, piece.bytes));
    found.push_back(std::move(piece));
    return {};
  };
  if (has_gpt(start, sector)) {
    const auto array = entry_array(std::span(start).subspan(sector));
    if (!array) return found;
    const auto begin = checked_mul(array->lba, std::uint64_t{sector});
    const auto end = begin ? checked_add(*begin, align_up(array->bytes, sector)) : std::nullopt;
    if (!end) return found;
    if (const auto part = overlap({*begin, *end}, {head, tail}))
      INGOT_TRY(fetch(part->begin, part->end - part->begin));
    return found;
  }
  if (!is_boot_record(start)) return found;
  const auto first = extended_start(start);
  if (!first) return found;
  std::uint64_t next = *first;
  for (int records = 0; records < kMostBootRecords; ++records) {
    const std::uint64_t offset = next * sector;  // 33 bits at most times 13
    if (offset < head || offset >= tail || sector > tail - offset) break;
    INGOT_TRY(fetch(offset, sector));
    const auto& record = found.back().bytes;
    if (!is_boot_record(record)) break;
    const auto link = extended_start(record);
    if (!link || *link == 0) break;
    next = *first + *link;
  }
  return found;
}

std::optional<std::uint64_t> gpt_backup_offset(std::span<const std::byte> head,
                                               std::uint32_t sector) {
  if (!has_gpt(head, sector)) return std::nullopt;
  return checked_mul(number_at<std::uint64_t>(head.data() + sector + 32), std::uint64_t{sector});
}

std::optional<ByteRange> gpt_backup_range(std::span<const std::byte> sector_bytes,
                                          std::uint64_t header, std::uint32_t sector) {
  if (sector_bytes.size() < 92 || std::memcmp(sector_bytes.data(), "EFI PART", 8) != 0 ||
      number_at<std::uint64_t>(sector_bytes.data() + 24) != header / sector)
    return std::nullopt;
  const auto array = entry_array(sector_bytes);
  if (!array) return std::nullopt;
  const auto begin = checked_mul(array->lba, std::uint64_t{sector});
  // Entries right before their header: what every tool makes.
  if (!begin || *begin >= header || *begin + align_up(array->bytes, sector) != header)
    return std::nullopt;
  return ByteRange{*begin, header + sector};
}

}  // namespace ingot::disk
