/// The file systems of a disk, mounted read-only for as long as somebody reads them.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/menu/boot_choice.hpp"

namespace ingot::disk {

struct MountedVolumes {
  BootVolumes volumes;
  std::vector<std::string> left_out;  ///< "partition 1 (vfat): No such device"
};

/// Mounts what find_installed_kernel() says. `fd`: the whole disk, a block device, readable at any
/// alignment; it stays the caller's.
/// Errors: device.unsuitable: the partition table cannot be read; cancelled.
Result<MountedVolumes> mount_volumes(int fd, const std::string& device,
                                     const std::filesystem::path& sysfs,
                                     const std::filesystem::path& dev, const std::stop_token& stop);

}  // namespace ingot::disk
