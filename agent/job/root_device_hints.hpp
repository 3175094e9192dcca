/// Root device hints as Ironic, Metal3 and `--root-device-hints` have them: a JSON object.
#pragma once

#include <string_view>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/inventory/hints.hpp"

namespace ingot::agent {

/// Parses `{"serial": "s== S1", "size": ">= 100", "rotational": false}`. An object without members
/// is no hints. At most 64 KiB.
/// Errors: usage.hints, also for all that disk::RootDeviceHints::parse() refuses.
Result<disk::RootDeviceHints> parse_root_device_hints(std::string_view json);

/// The disks that satisfy none of `except`, in their order.
[[nodiscard]] std::vector<disk::Disk> without(std::vector<disk::Disk> disks,
                                              const std::vector<disk::RootDeviceHints>& except);

}  // namespace ingot::agent
