/// What is on a disk right now, for the question whether it may be overwritten.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ingot::agent {

struct PartitionSummary {
  std::string name;  ///< "sda1"
  std::uint64_t size = 0;
  std::string content;  ///< "ext4 'root'", or ""
};

struct TargetSummary {
  std::string model;       ///< "Samsung SSD 860", "loop device on /var/tmp/disk", or ""
  std::string serial;      ///< or ""
  std::uint64_t size = 0;  ///< bytes
  std::string content;     ///< of the disk itself, without partitions
  std::vector<PartitionSummary> partitions;  ///< by their place
};

/// Reads sysfs and udev's database; nothing is opened but text files, and what is missing there is
/// missing here. All text is free of control characters, whatever a label holds.
TargetSummary summarise_block_device(dev_t device);

/// The summary as lines of text, the first without `path`'s name being asked anywhere else.
std::string describe(const std::string& path, const TargetSummary& target);

}  // namespace ingot::agent
