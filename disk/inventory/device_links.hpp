/// DeviceLinks: the lasting names of disks that udev keeps under /dev/disk.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "disk/inventory/udev_properties.hpp"

namespace ingot::disk {

struct DeviceLinks {
  std::vector<std::string> by_path, by_id;  ///< absolute, sorted
};

/// The links that lead to `node` ("/dev/sda"), `dev` being the directory it lies in ("/dev"). Those
/// that udev's database names, without such as lead to another device: of the paths to one disk,
/// each asks for the same links, and one gets them. All that are found in `dev` where the database
/// names none.
DeviceLinks links_to(const std::filesystem::path& node, const std::filesystem::path& dev,
                     const UdevProperties& udev);

}  // namespace ingot::disk
