/// What libblkid finds in one stretch of a target. The only file here that knows libblkid.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

class Watch;

/// A magic string: where it begins, bytes from the target's start, and of what.
struct Magic {
  std::uint64_t offset;
  std::string type;
};

/// A partition of a table, bytes from the start of the stretch that the table is in. Both as the
/// table has it: nothing is checked.
struct TableEntry {
  std::uint64_t offset, length;
  int number;
  std::string type;  ///< GUID in lower case, or "0x83"
  bool extended;     ///< holds logical partitions
};

/// Where to look.
struct Stretch {
  int fd;  ///< readable, without O_DIRECT
  std::uint64_t offset, length;
  std::uint32_t sector;  ///< bytes
};

/// Every signature that `wipefs` would list in `where`, those with a bad checksum included, one
/// after the other by hiding each from the next look, in memory. At most `limit`.
/// Errors: write.erase when it cannot be read; cancelled.
Result<std::vector<Magic>> find_signatures(const Stretch& where, std::size_t limit, Watch& watch);

/// The partitions of the table in `where`; none if there is no table. `gpt_only`: passes over any
/// other table. `kind` becomes "gpt", "dos", "bsd", …, or "".
/// Errors: as above.
Result<std::vector<TableEntry>> find_partitions(const Stretch& where, bool gpt_only,
                                                std::string& kind, Watch& watch);

}  // namespace ingot::disk
