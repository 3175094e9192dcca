/// EFI system partitions of a disk, from its partition table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

struct SystemPartition {
  unsigned number = 0;       ///< from 1
  std::uint64_t offset = 0;  ///< bytes

  bool operator==(const SystemPartition&) const = default;
};

/// Those of the disk behind `fd` (a block device, without O_DIRECT), by number, at most 16: of
/// type EFI system partition, or the one with `uuid`, whatever its type, if that is not "". Of an
/// MBR primary ones only: firmware looks at no others. `device` is for messages.
/// Errors: device.unsuitable: there is none; the MBR has no disk signature.
/// Sources: UEFI 2.10, 5.2 and 5.3; libblkid reads the table.
Result<std::vector<SystemPartition>> find_system_partitions(int fd, const std::string& uuid,
                                                            const std::string& device);

}  // namespace ingot::disk
