/// Identity: whether an opened device is the one that was chosen.
#pragma once

#include <string>

#include "disk/core/error.hpp"
#include "disk/inventory/disk.hpp"

namespace ingot::disk {

/// What tells a block device from any other that takes its name: number, sequence number and size.
/// Its texts are left out; list_disks() has them.
DiskIdentity identity_of(dev_t number);

/// Compares the block device behind `fd` with `expected`: number, sequence number (where the kernel
/// has one: it is another for each device that ever existed), size, serial number and WWN. What
/// `expected` does not know is not compared. `path` is for messages.
/// Errors: device.changed, saying what is different.
Result<void> check_identity(int fd, const DiskIdentity& expected, const std::string& path);

}  // namespace ingot::disk
