/// Where the sectors of a partition table lie that are neither in a disk's first nor last MiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/table/shadow_disk.hpp"

namespace ingot::disk {

struct ByteRange {
  std::uint64_t begin, end;
};
/// What of one lies in the other; nothing if they do not meet.
std::optional<ByteRange> overlap(ByteRange a, ByteRange b);

struct TableSectors {
  std::uint64_t offset;  ///< bytes
  std::vector<std::byte> bytes;
};

using ReadAt = std::function<Result<void>(std::uint64_t offset, std::span<std::byte> bytes)>;

/// Follows the table in `disk`'s first `head` bytes to what lies in [head, tail): a GPT's entry
/// array (at most 1 MiB of it), or the part of one that reaches into there, the chain of an MBR's
/// extended boot records (at most 256). Places outside the disk end the search without an error:
/// libfdisk judges them. `read` reads the target at multiples of `sector` bytes. Errors: those of
/// `read`. Sources: UEFI 2.10, 5.3.2; the extended boot records as every fdisk has them.
Result<std::vector<TableSectors>> table_sectors(const ShadowDisk& disk, std::uint32_t sector,
                                                std::uint64_t head, std::uint64_t tail,
                                                const ReadAt& read);

/// The byte at which the primary header in `head` says that the backup header lies; nothing if
/// there is no GPT, or if it says nonsense.
std::optional<std::uint64_t> gpt_backup_offset(std::span<const std::byte> head,
                                               std::uint32_t sector);

/// The stretch that a backup GPT takes whose header is `sector_bytes`, read at byte `header`: its
/// entries and itself. Nothing if that is no backup header, or not one of the usual form.
std::optional<ByteRange> gpt_backup_range(std::span<const std::byte> sector_bytes,
                                          std::uint64_t header, std::uint32_t sector);

}  // namespace ingot::disk
