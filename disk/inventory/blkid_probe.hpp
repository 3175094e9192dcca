/// libblkid's probe with an owner, and the questions that several ask it.
#pragma once

#include <memory>
#include <string>

#include "disk/core/error.hpp"

struct blkid_struct_probe;  // of <blkid/blkid.h>

namespace ingot::disk {

struct FreeBlkidProbe {
  void operator()(blkid_struct_probe* probe) const noexcept;
};
using BlkidProbe = std::unique_ptr<blkid_struct_probe, FreeBlkidProbe>;

/// A probe of the whole device or file behind `fd`, which stays the caller's and open as long.
/// Nothing: it cannot be read, or there is no memory.
[[nodiscard]] BlkidProbe probe_of(int fd);

/// The same for the partition table of the disk `device` (a name for messages), which
/// blkid_probe_get_partitions() then reads. Errors: device.unsuitable.
[[nodiscard]] Result<BlkidProbe> probe_partitions_of(int fd, const std::string& device);

/// What the last probing found under this name of libblkid's ("TYPE", "PTUUID"); "": nothing.
[[nodiscard]] std::string value_of(const BlkidProbe& probe, const char* name);

}  // namespace ingot::disk
