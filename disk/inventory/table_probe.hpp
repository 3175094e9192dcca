/// Table probe: what lies on a disk, told by libblkid.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace ingot::disk {

struct TableProbe {
  /// The partition table ("gpt", "dos", "PMBR"); without one the signature of the bare disk
  /// ("ext4", "LVM2_member", "crypto_LUKS"), "ambiguous" when there are several; "" for none, or
  /// when the disk could not be read.
  std::string table;
  std::string id;  ///< GPT's disk GUID, or the MBR's disk signature (8 hexadecimal digits); ""
};

struct ProbeTarget {
  std::string node;  ///< "/dev/sda"
  dev_t number = 0;  ///< what `node` must be, or it is not read
};

/// Reads all of them at the same time, read-only, some hundred KiB each. What has not answered
/// after `patience` is given up: its result is empty, and the thread that the kernel holds in a
/// read ends when the read does.
std::vector<TableProbe> probe_tables(const std::vector<ProbeTarget>& targets,
                                     std::chrono::milliseconds patience);

}  // namespace ingot::disk
