/// `ingot devices`: the disks of this machine, and which of them root device hints choose.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/options.hpp"
#include "disk/core/error.hpp"
#include "disk/inventory/disk.hpp"

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

/// Looks at the disks, or at the devices that the options name. That hints choose none is no error
/// here, but in the report. Errors: usage.hints, device.missing, device.unsuitable.
Result<DeviceReport> look_at_devices(const DevicesOptions& options);

/// A table for people, and what the hints choose.
[[nodiscard]] std::string to_text(const DeviceReport& report);

/// docs/devices.md describes it. Without a line end.
[[nodiscard]] std::string to_json(const DeviceReport& report);

}  // namespace ingot::agent
