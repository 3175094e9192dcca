#include "disk/erase/table_sectors.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kRecord = 512;  // what of a sector is looked at
constexpr std::size_t kEntries = 446, kEntrySize = 16;
constexpr std::size_t kMostRecords = 256;
constexpr const char* kGptMagic = "EFI PART";

using Record = std::array<unsigned char, kRecord>;

std::optional<Record> read_at(int fd, std::uint64_t offset) {
  Record record{};
  if (::pread(fd, record.data(), record.size(), static_cast<off_t>(offset)) !=
      static_cast<ssize_t>(record.size()))
    return std::nullopt;
  return record;
}

std::uint64_t little_endian(const unsigned char* at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | at[i];
  return value;
}

struct Entry {
  std::uint64_t start, size;  // sectors
};

// The first extended partition of a boot record.
std::optional<Entry> extended_of(const Record& record) {
  if (record[510] != 0x55 || record[511] != 0xaa) return std::nullopt;
  for (std::size_t i = 0; i < 4; ++i) {
    const unsigned char* entry = record.data() + kEntries + i * kEntrySize;
    const bool extended = entry[4] == 0x05 || entry[4] == 0x0f || entry[4] == 0x85;
    const Entry found{little_endian(entry + 8, 4), little_endian(entry + 12, 4)};
    if (extended && found.start > 0 && found.size > 0) return found;
  }
  return std::nullopt;
}

class SectorRange {
 public:
  SectorRange(int fd, std::uint64_t from, std::uint64_t length, std::uint32_t sector)
      : fd_(fd), from_(from), length_(length), sector_(sector) {}

  void extended_boot_records(std::vector<TableSector>& into) const {
    const auto mbr = read(0);
    const auto first = mbr ? extended_of(*mbr) : std::nullopt;
    if (!first) return;
    std::vector<std::uint64_t> seen;
    for (std::uint64_t at = first->start; seen.size() < kMostRecords;) {
      const auto record = read(at);
      if (!record || (*record)[510] != 0x55 || (*record)[511] != 0xaa ||
          std::ranges::count(seen, at) > 0)
        return;
      seen.push_back(at);
      into.push_back({from_ + at * sector_, "dos (extended boot record)"});
      const auto link = extended_of(*record);
      if (!link) return;
      at = first->start + link->start;  // both have 32 bits
    }
  }

  void other_gpt_header(std::vector<TableSector>& into) const {
    const auto header = read(1);
    if (!header || std::memcmp(header->data(), kGptMagic, 8) != 0) return;
    const std::uint64_t other = little_endian(header->data() + 32, 8);
    const auto backup = read(other);
    if (other > 1 && backup && std::memcmp(backup->data(), kGptMagic, 8) == 0)
      into.push_back({from_ + other * sector_, "gpt (backup)"});
  }

 private:
  // The start of sector `number` of the region, if it lies in there.
  [[nodiscard]] std::optional<Record> read(std::uint64_t number) const {
    const auto offset = checked_mul(number, sector_);
    if (!offset || *offset > length_ || length_ - *offset < sector_) return std::nullopt;
    return read_at(fd_, from_ + *offset);
  }

  const int fd_;
  const std::uint64_t from_, length_;
  const std::uint32_t sector_;
};

}  // namespace

std::vector<TableSector> table_sectors(int fd, std::uint64_t from, std::uint64_t length,
                                       std::uint32_t sector) {
  std::vector<TableSector> found;
  const SectorRange own(fd, from, length, sector);
  own.extended_boot_records(found);
  own.other_gpt_header(found);
  // A GPT may have been made for the other kind of disk.
  SectorRange(fd, from, length, sector == 512 ? 4096 : 512).other_gpt_header(found);
  return found;
}

}  // namespace ingot::disk
