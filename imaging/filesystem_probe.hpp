/// Which file system fills a whole image, of a disk or a config drive? By libblkid.
#pragma once

#include <cstddef>
#include <optional>
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

/// A config drive's kind of file system, as libblkid sees it.
struct Volume {
  bool fat = false;   ///< else ISO 9660
  std::string label;  ///< as it stands there, trailing blanks removed; may be any bytes
};

/// The ISO 9660 or FAT file system that `image`, the whole of it, holds; nothing when it is
/// neither. Errors: internal.bug, when the probe cannot be set up.
Result<std::optional<Volume>> find_volume(std::span<const std::byte> image);

}  // namespace ingot::imaging
