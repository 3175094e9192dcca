/// What uses a disk: mounted file systems, swap, md and device-mapper, loop devices on top.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// Refuses a whole disk, by its device number, if it or one of its partitions is mounted, is swap,
/// or is part of an md array, a device-mapper device (LVM, multipath, LUKS) or a loop device.
/// `path` is for messages. Source: sysfs (Documentation/ABI/testing/sysfs-block), proc(5).
/// Errors: device.mounted, device.swap, device.in-use, each naming what was found.
Result<void> check_unused(dev_t device, const std::string& path);

/// The same for a regular file: backing a loop device, or active as swap.
Result<void> check_file_unused(dev_t device, ino_t inode, const std::string& path);

/// Who holds a block device that could not be opened exclusively, for a message: "qemu-img (process
/// 42)", or what else it may be when no process has it open. At most three are named.
std::string users_of(dev_t device);

/// Names of the partitions of a whole disk ("sda1", …), from sysfs.
std::vector<std::string> partition_names(dev_t device);

/// The name of the disk that partition `device` lies on, or "" if it is not a partition.
std::string parent_disk(dev_t device);

}  // namespace ingot::disk
