/// The files of a config drive between two file system images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/units.hpp"
#include "imaging/config_drive/secret_bytes.hpp"

namespace ingot::imaging {

/// One file or directory.
struct TreeEntry {
  std::string path;  ///< components in UTF-8 joined by '/'; none is empty, "." or ".."
  bool directory = false;
  SecretBytes content;
};

/// Every directory stands before what is in it, and no path is there twice.
using FileTree = std::vector<TreeEntry>;

/// What is read of a foreign image at most. A config drive has a dozen files.
struct TreeLimits {
  std::size_t entries = 1000;
  std::size_t depth = 16;        ///< components of a path
  std::size_t path_size = 1024;  ///< bytes
  std::uint64_t content = 64 * MiB;
};

/// Whether `name` can be one component of a TreeEntry's path: valid UTF-8 of at most 255 bytes
/// without '/' and control characters, and neither "." nor "..".
bool is_plain_name(const std::string& name);

}  // namespace ingot::imaging
