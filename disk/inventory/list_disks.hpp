/// The disks of this machine, as Ironic's agent sees them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/in_use.hpp"
#include "disk/inventory/disk.hpp"
#include "disk/inventory/udev_properties.hpp"

namespace ingot::disk {

/// Where the facts come from. The defaults are this machine.
struct InventoryOptions {
  /// Paths of block devices: these alone, whatever kind of whole device they are (a loop device
  /// too). Empty: every disk.
  std::vector<std::string> only = {};
  std::filesystem::path sysfs = "/sys";
  std::filesystem::path dev = "/dev";
  UdevSource udev = udev_properties;
  std::function<std::vector<Use>(dev_t)> uses = uses_of;
  /// How long a disk may take to show what is on it.
  std::chrono::milliseconds patience{10'000};
};

/// Every disk: of lsblk's types disk, raid… and mpath. Without floppies, RAM disks, nbd and loop
/// devices, optical drives, partitions, LVM, LUKS, devices without a size, and the paths to a disk
/// that multipath has put together. Members of md arrays are disks.
///
/// In lsblk's order, by device number: of several disks that satisfy root device hints the first
/// one is chosen. Blocks up to `patience` (for each 64 disks). None at all is no error.
/// Errors: device.missing if there is no sysfs, or a device that `only` names is not there;
/// device.unsuitable as describe_disk().
Result<std::vector<Disk>> list_disks(const InventoryOptions& options);

/// One whole block device of any kind, by a path that may be a link.
/// Errors: device.missing; device.unsuitable if it is no block device, a partition, or has no size
/// (a drive without a medium, a loop device without a file).
Result<Disk> describe_disk(const std::string& path, const InventoryOptions& options);

/// The same by device number.
Result<Disk> describe_disk(dev_t device, const InventoryOptions& options);

}  // namespace ingot::disk
