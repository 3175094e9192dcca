/// Survey: which partitions and signatures are on a target, as libblkid sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/error.hpp"

namespace ingot::disk {

class Watch;

/// A stretch of the target that holds something of its own: the target itself, a partition, a
/// partition inside a partition. Always inside the target, whatever a table says.
struct Region {
  std::uint64_t offset = 0;  ///< bytes, from the target's start
  std::uint64_t length = 0;  ///< bytes, at least 1
  std::string name;          ///< "the disk", "partition 2", "partition 2.1"
  /// Of a partition: its type as the table has it, a GPT's GUID in lower case or "0x83"; else "".
  std::string partition_type;
  unsigned depth = 0;     ///< 0: the target
  bool extended = false;  ///< an MBR's container of logical partitions
};

/// Something that a program would recognise, and the bytes that make it go.
struct Signature {
  std::uint64_t offset = 0;  ///< of the magic string, bytes from the target's start
  std::string type;          ///< "ext4", "gpt", "linux_raid_member", "crypto_LUKS", … as blkid's
  std::size_t region = 0;    ///< which of the survey's regions it belongs to
  std::uint64_t wipe_offset = 0, wipe_length = 0;  ///< what is zeroed for it, inside the region
};

struct Survey {
  std::vector<Region> regions;  ///< the first is the target; containers before what is in them
  std::vector<Signature> signatures;
  /// What could not be looked at: an unreadable sector, more partitions than are looked at.
  std::vector<std::string> problems;
};

/// Looks at the whole target: the partition tables that libblkid finds (GPT by either header and
/// for either sector size, MBR with logical partitions), the kernel's own list, tables inside
/// partitions, and in each of them every signature that `wipefs` would list, bad checksums
/// included; furthermore mirrors of btrfs superblocks, extended boot records and a backup GPT that
/// is not at the target's end. Reads only.
/// Limits: 1024 regions, 3 levels, 512 signatures in a region.
/// Errors: write.erase when the target cannot be read at all; cancelled.
Result<Survey> survey(const Claim& target, Watch& watch);

/// The same, of the signatures alone, in regions that are known already: the tables may be gone.
Result<Survey> survey_again(const Claim& target, const std::vector<Region>& regions, Watch& watch);

}  // namespace ingot::disk
