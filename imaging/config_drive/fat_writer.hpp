/// Files as a FAT file system, by mkfs.fat and mtools.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "disk/core/error.hpp"
#include "imaging/config_drive/config_drive.hpp"
#include "imaging/config_drive/file_tree.hpp"

namespace ingot::imaging {

/// How the file system is to be.
struct FatShape {
  std::string label;              ///< at most 11 characters, stored as it is
  std::uint32_t sector_size = 0;  ///< logical sectors in bytes: 512, 1024, 2048 or 4096
  std::uint64_t size_limit = 0;   ///< of the file system, bytes
};

/// A file system of the size that `tree` needs, with long names. The same input makes the same
/// bytes: every time in it is 1980-01-01. Made in memory; what the programs get and give are
/// inherited files in memory.
/// Errors: usage.config-drive (too large; names that no FAT can hold; mkfs.fat or mtools are not
/// installed), cancelled.
Result<ConfigDrive> write_fat(const FileTree& tree, const FatShape& shape,
                              const std::stop_token& stop);

}  // namespace ingot::imaging
