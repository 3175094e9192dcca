/// One copy of a GPT, a header and its entries: read from hostile bytes, checked, written again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ingot::disk {

/// Most bytes that an entry array may have here; 8192 entries of the usual size.
inline constexpr std::uint64_t kMostGptEntryBytes = 1024 * 1024;

/// The fields of a header that change with the disk, or that its entries depend on.
/// Source: UEFI 2.10, 5.3.2 "GPT Header".
struct GptHeader {
  std::uint64_t lba = 0;        ///< its own
  std::uint64_t alternate = 0;  ///< the other header's
  std::uint64_t first_usable = 0, last_usable = 0;
  std::uint64_t entries = 0;  ///< where the array begins, sectors
  std::uint32_t entry_count = 0, entry_size = 0;
  std::uint32_t entries_crc = 0;

  [[nodiscard]] std::uint64_t entry_bytes() const noexcept {
    return std::uint64_t{entry_count} * entry_size;
  }
  [[nodiscard]] std::uint64_t entry_sectors(std::uint32_t sector) const noexcept {
    return (entry_bytes() + sector - 1) / sector;
  }
};

/// The header in `sector`, a whole one, that was read at `lba`. Nothing unless signature, size,
/// checksum and its own place are right, its entries have 128 bytes (all that Linux reads) and
/// their number is bounded.
std::optional<GptHeader> parse_gpt_header(std::span<const std::byte> sector, std::uint64_t lba);
/// If it is only for its entries that a header is not taken: what it says they are. Else "".
std::string unreadable_gpt_entries(std::span<const std::byte> sector, std::uint64_t lba);

/// Whether `entries` (at least entry_bytes()) are those that the header's checksum is of.
bool gpt_entries_match(const GptHeader& header, std::span<const std::byte> entries);

struct GptEntry {
  unsigned number = 0;                ///< from 1
  std::uint64_t first = 0, last = 0;  ///< sectors, ends included
  std::string name;                   ///< printable ASCII; ? for all else
};
/// The entries in use, in the order of their numbers.
std::vector<GptEntry> gpt_entries(const GptHeader& header, std::span<const std::byte> entries);

/// Whether two copies, the disk's GUID included, say the same of what both have to say.
bool same_gpt(std::span<const std::byte> sector, std::span<const std::byte> other);

/// Puts the fields into `sector`, which holds a header, and makes its checksum right.
void put_gpt_header(std::span<std::byte> sector, const GptHeader& header);

}  // namespace ingot::disk
