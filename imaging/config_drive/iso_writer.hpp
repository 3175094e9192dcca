/// Files as an ISO 9660 image, by libisofs.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "disk/core/error.hpp"
#include "imaging/config_drive/secret_bytes.hpp"

namespace ingot::imaging {

/// A file of the image: a path such as "openstack/latest/user_data". Its directories come with it.
struct IsoFile {
  std::string path;
  std::span<const std::byte> content;
};

/// The image, with Rock Ridge and Joliet, `label` (at most 16 characters) as volume identifier, and
/// files that only root can read. The same input makes the same bytes: every time in it is
/// 1980-01-01. Made in memory, no file is opened.
///
/// Threads  one of libisofs's own, which has ended when this returns.
/// Errors   internal.bug (no memory, a path that is there twice).
Result<SecretBytes> write_iso(std::span<const IsoFile> files, const std::string& label);

}  // namespace ingot::imaging
