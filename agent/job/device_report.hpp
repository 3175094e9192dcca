/// DeviceReport: the disks of this machine, and which of them root device hints choose.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/inventory/disk.hpp"
#include "disk/inventory/hints.hpp"

namespace ingot::agent {

/// What hints say of the disks of a report.
struct HintedChoice {
  std::string chosen;  ///< name of the chosen disk, or ""
  /// Of each disk, in their order, the hint that excludes it; "" if none does.
  std::vector<std::string> excluded_by;
  std::optional<Error> no_match;  ///< device.no-match, if none was chosen
};

struct DeviceReport {
  std::vector<disk::Disk> disks;
  std::optional<HintedChoice> choice;  ///< nothing: no hints were given
};

/// Looks at the disks, or at the `devices` that are named; those that satisfy one of `except` are
/// left out. That hints (JSON) choose none is no
/// error here, but in the report. Errors: usage.hints, device.missing, device.unsuitable.
Result<DeviceReport> look_at_devices(const std::vector<std::string>& devices,
                                     const std::optional<std::string>& hints,
                                     const std::vector<disk::RootDeviceHints>& except = {});

}  // namespace ingot::agent
