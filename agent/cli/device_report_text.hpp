/// What `ingot devices` prints.
#pragma once

#include <string>

#include "agent/job/device_report.hpp"

namespace ingot::agent {

/// A table for people, and what the hints choose.
[[nodiscard]] std::string to_text(const DeviceReport& report);

/// docs/devices.md describes it. Without a line end.
[[nodiscard]] std::string to_json(const DeviceReport& report);

}  // namespace ingot::agent
