/// What uses a disk: mounted file systems, swap, md and device-mapper, loop devices on top.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// One thing that uses a disk.
struct Use {
  enum class Kind {
    mounted,           ///< a file system, or an overlay over one
    swap,              ///< partition or file
    array_or_mapping,  ///< md, device-mapper (LVM, LUKS, multipath), bcache, a btrfs out of sight
    loop,              ///< a loop device on the disk or on a file on it
  };
  Kind kind = Kind::mounted;
  std::string text;    ///< "mounted on /boot (sda1)", "part of md0 (sda2)"; fits behind "is"
  std::string advice;  ///< how to end it
  Errc code = Errc::device_in_use;  ///< of the refusal that it is reason for
  bool running_system = false;  ///< it is /, /usr, /boot, … of the running system, or its swap
};

/// Everything that uses a whole disk, one of its partitions, or something that stands on them, by
/// the disk's device number; all of it, however high the stack. Empty: nothing was found.
/// Sources: sysfs (Documentation/ABI/stable/sysfs-block), proc(5) of this process and, where it may
/// be read, of process 1's mount namespace, the loop driver.
std::vector<Use> uses_of(dev_t disk);

/// The same for a regular file: active as swap, or under a loop device and what stands on that.
std::vector<Use> uses_of_file(dev_t device, ino_t inode);

/// Whether the devices of the running system's file systems could be told. Where not (ZFS, layers
/// of an overlay out of sight), uses_of() may have missed that a disk holds it.
bool running_system_located();

/// Refuses a target of which a use was found; `path` is for messages. With `force` only one that
/// the running system needs. Errors: device.running-system, device.mounted, device.swap,
/// device.in-use: the gravest.
Result<void> check_unused(const std::vector<Use>& uses, const std::string& path,
                          bool force = false);

/// The processes that have a block device open, for a message: "qemu-img (process 42)", or what
/// else it may be when none has. At most three are named.
std::string openers_of(dev_t device);

/// Names of the partitions of a whole disk ("sda1", …), from sysfs.
std::vector<std::string> partition_names(dev_t device);

/// The name of the disk that partition `device` lies on, or "" if it is not a partition.
std::string parent_disk(dev_t device);

}  // namespace ingot::disk
