/// DeviceLock: one of us at a time on a block device, and udev kept away while it is written.
#pragma once

#include <string>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// Locks the device node behind `fd` with flock(2). The lock belongs to the open file: it is shared
/// by descriptors duplicated from it, and ends with the last of them, so also with the process.
/// Partitioning tools take the same lock, and udev leaves a locked disk alone
/// (https://systemd.io/BLOCK_DEVICE_LOCKING/); it takes a shared one while it looks at a disk, for
/// whose end we wait a few seconds. `path` is for messages.
/// Errors: device.in-use, naming the process that has the lock where that can be told.
Result<void> lock_device(int fd, const std::string& path);

/// Gives the lock up before that: udev now looks at what was written.
void unlock_device(int fd) noexcept;

}  // namespace ingot::disk
