/// Loop devices and what they stand on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "disk/mount_table.hpp"

namespace ingot::disk {

struct LoopEntry {
  dev_t number = 0;
  std::string name;            ///< "loop0"
  std::string backing;         ///< its backing's name when it was attached
  std::optional<dev_t> block;  ///< it stands on this block device; otherwise on a file:
  dev_t file_system = 0;       ///< number of the mount that the file lies on, or as stat(2) has it
  dev_t file_device = 0;       ///< st_dev of the file
  ino_t inode = 0;             ///< of the file
  bool read_only = false;
};

/// All that are attached. What they stand on is taken from the driver: a name may have been
/// renamed, deleted, or be another file's since.
std::vector<LoopEntry> read_loops(const MountTable& mounts);

}  // namespace ingot::disk
