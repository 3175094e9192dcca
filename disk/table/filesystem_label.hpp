/// The label of the file system in a partition.
#pragma once

#include <string>

#include "disk/claim.hpp"
#include "disk/table/partition_table.hpp"
#include "disk/table/table_sectors.hpp"

namespace ingot::disk {

/// Reads the partition's first part from the target and has libblkid look at it: the label of an
/// ISO 9660, FAT or other file system, or "". Errors: write.io (the disk cannot be read).
Result<std::string> filesystem_label(const Claim& target, const Partition& partition);
/// The same from anywhere: `read` reads the disk, whose sectors have `sector` bytes.
Result<std::string> filesystem_label(const Partition& partition, std::uint32_t sector,
                                     const ReadAt& read);

}  // namespace ingot::disk
