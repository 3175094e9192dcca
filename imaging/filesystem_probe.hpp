/// Which file system fills a whole disk image? By libblkid.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "disk/core/error.hpp"

namespace ingot::imaging {

/// What libblkid calls the signature found in a disk's first bytes ("ext4", "iso9660",
/// "LVM2_member"), or "". Signatures that lie at a disk's end cannot be seen. Encrypted volumes
/// and swap space are found, but hold no file system: see `usable`.
struct FilesystemSignature {
  std::string type;
  bool usable = false;  ///< a file system, or a member of a volume group or RAID
};

/// Errors: internal.bug, when the probe cannot be set up.
Result<FilesystemSignature> find_filesystem(std::span<const std::byte> head);

}  // namespace ingot::imaging
