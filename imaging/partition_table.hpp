/// Partition tables at the start of a disk: MBR (DOS) and GPT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ingot::imaging {

struct PartitionTable {
  std::string type;               ///< "gpt", "dos" or ""
  std::uint32_t sector_size = 0;  ///< gpt: bytes of a logical sector, told by where its header lies
};

/// Looks for a table in a disk's first bytes.
///
/// gpt  a header at 512 or 4096 whose CRC-32 and own LBA are right, together with a protective or
///      hybrid MBR, or with no MBR at all. A MBR without the protective entry wins over a header
///      that an earlier partitioning left behind, as it does for the kernel.
/// dos  the signature 55 AA and four entries of which at least one is in use and none is
///      impossible: boot sectors of file systems have the signature, too.
/// Source: UEFI specification 2.10, chapter 5.
PartitionTable find_partition_table(std::span<const std::byte> head);

}  // namespace ingot::imaging
