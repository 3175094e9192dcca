/// Which disk a command works on: named, or chosen by root device hints.
#pragma once

#include "agent/options.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Fills in `device` and `chosen` where hints are to choose among the machine's disks (or `only`
/// some of them), and says on standard error what they chose. Other targets come back as they are.
/// Errors: device.no-match, and those of disk::list_disks().
Result<TargetOptions> choose_target(TargetOptions target);

}  // namespace ingot::agent
