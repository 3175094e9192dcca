#include "disk/table/gpt.hpp"

#include <fmt/format.h>
#include <isa-l/crc.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ingot::disk {
namespace {

// Source: UEFI 2.10, 5.3.2 and 5.3.3.
constexpr std::size_t kHeaderSize = 12, kHeaderCrc = 16, kOwnLba = 24, kAlternate = 32,
                      kFirstUsable = 40, kLastUsable = 48, kDiskGuid = 56, kEntries = 72,
                      kEntryCount = 80, kEntrySize = 84, kEntriesCrc = 88;
constexpr std::uint32_t kLeastHeader = 92;
constexpr std::size_t kGuidBytes = 16, kFirst = 32, kLast = 40, kName = 56, kNameUnits = 36;
constexpr std::uint32_t kEntryBytes = 128;  // the specification allows for more

// A GPT is little-endian, as is every machine this runs on.
template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put_number(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::uint32_t crc32(std::uint32_t before, std::span<const std::byte> bytes) {
  return crc32_gzip_refl(before, reinterpret_cast<const unsigned char*>(bytes.data()),
                         bytes.size());
}

// With its own field as zeros.
std::uint32_t header_crc(std::span<const std::byte> header) {
  constexpr std::array<std::byte, 4> kZeros{};
  const std::uint32_t before = crc32(crc32(0, header.first(kHeaderCrc)), kZeros);
  return crc32(before, header.subspan(kHeaderCrc + kZeros.size()));
}

std::string name_of(std::span<const std::byte> entry) {
  std::string name;
  for (std::size_t i = 0; i < kNameUnits && kName + 2 * i + 2 <= entry.size(); ++i) {
    const auto unit = number_at<std::uint16_t>(entry, kName + 2 * i);
    if (unit == 0) break;
    name += unit >= 0x20 && unit < 0x7F ? static_cast<char>(unit) : '?';
  }
  return name;
}

// A header that is right in itself, whatever it says of its entries.
std::optional<GptHeader> right_header(std::span<const std::byte> sector, std::uint64_t lba) {
  if (sector.size() < kLeastHeader || std::memcmp(sector.data(), "EFI PART", 8) != 0)
    return std::nullopt;
  const auto size = number_at<std::uint32_t>(sector, kHeaderSize);
  if (size < kLeastHeader || size > sector.size() ||
      header_crc(sector.first(size)) != number_at<std::uint32_t>(sector, kHeaderCrc))
    return std::nullopt;
  const GptHeader header{number_at<std::uint64_t>(sector, kOwnLba),
                         number_at<std::uint64_t>(sector, kAlternate),
                         number_at<std::uint64_t>(sector, kFirstUsable),
                         number_at<std::uint64_t>(sector, kLastUsable),
                         number_at<std::uint64_t>(sector, kEntries),
                         number_at<std::uint32_t>(sector, kEntryCount),
                         number_at<std::uint32_t>(sector, kEntrySize),
                         number_at<std::uint32_t>(sector, kEntriesCrc)};
  return header.lba == lba ? std::optional(header) : std::nullopt;
}

std::string unreadable(const GptHeader& header) {
  if (header.entry_size != kEntryBytes)
    return fmt::format("entries of {} bytes, and Linux reads only those of {}", header.entry_size,
                       kEntryBytes);
  if (header.entry_count == 0 || header.entry_bytes() > kMostGptEntryBytes)
    return fmt::format("{} entries; from 1 to {} can be read", header.entry_count,
                       kMostGptEntryBytes / kEntryBytes);
  return {};
}

}  // namespace

std::optional<GptHeader> parse_gpt_header(std::span<const std::byte> sector, std::uint64_t lba) {
  const auto header = right_header(sector, lba);
  return header && unreadable(*header).empty() ? header : std::nullopt;
}

std::string unreadable_gpt_entries(std::span<const std::byte> sector, std::uint64_t lba) {
  const auto header = right_header(sector, lba);
  return header ? unreadable(*header) : std::string();
}

bool gpt_entries_match(const GptHeader& header, std::span<const std::byte> entries) {
  return entries.size() >= header.entry_bytes() &&
         crc32(0, entries.first(header.entry_bytes())) == header.entries_crc;
}

std::vector<GptEntry> gpt_entries(const GptHeader& header, std::span<const std::byte> entries) {
  std::vector<GptEntry> used;
  for (std::uint32_t i = 0; i < header.entry_count; ++i) {
    const auto entry =
        entries.subspan(std::size_t{i} * header.entry_size, std::size_t{header.entry_size});
    if (std::ranges::all_of(entry.first(kGuidBytes), [](std::byte b) { return b == std::byte{}; }))
      continue;
    used.push_back({i + 1, number_at<std::uint64_t>(entry, kFirst),
                    number_at<std::uint64_t>(entry, kLast), name_of(entry)});
  }
  return used;
}

bool same_gpt(std::span<const std::byte> sector, std::span<const std::byte> other) {
  const auto same = [&](std::size_t at, std::size_t length) {
    return std::memcmp(sector.data() + at, other.data() + at, length) == 0;
  };
  return same(kFirstUsable, kDiskGuid + kGuidBytes - kFirstUsable) &&
         same(kEntryCount, kEntriesCrc + 4 - kEntryCount) &&
         number_at<std::uint64_t>(sector, kOwnLba) == number_at<std::uint64_t>(other, kAlternate);
}

void put_gpt_header(std::span<std::byte> sector, const GptHeader& header) {
  put_number(sector, kOwnLba, header.lba);
  put_number(sector, kAlternate, header.alternate);
  put_number(sector, kFirstUsable, header.first_usable);
  put_number(sector, kLastUsable, header.last_usable);
  put_number(sector, kEntries, header.entries);
  const auto size = number_at<std::uint32_t>(sector, kHeaderSize);
  put_number(sector, kHeaderCrc, header_crc(sector.first(size)));
}

}  // namespace ingot::disk
