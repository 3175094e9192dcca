/// A disk or a file, opened to be looked at: nothing is claimed, nothing is refused for being used.
#pragma once

#include <string>
#include <vector>

#include "disk/claim.hpp"
#include "disk/in_use.hpp"

namespace ingot::disk {

struct ReadableTarget {
  Claim target;           ///< descriptors that cannot write
  std::vector<Use> uses;  ///< what may change it meanwhile
};

/// Opens a whole disk or a regular file. Errors: device.missing, device.permission,
/// device.unsuitable (a partition, neither disk nor file, no medium).
Result<ReadableTarget> open_for_reading(const std::string& path);

}  // namespace ingot::disk
