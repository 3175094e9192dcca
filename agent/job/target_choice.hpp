/// Which disk a job works on: named, or chosen by root device hints; and whether it may be
/// overwritten.
#pragma once

#include "agent/job/job.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Fills in `device` and `chosen` where hints are to choose among the machine's disks (or `only`
/// some of them, never one of `except`), and remarks what they chose. Other targets come back as
/// they are. Errors: device.no-match, and those of disk::list_disks().
Result<TargetOptions> choose_target(TargetOptions target, JobOwner& owner);

/// Has the owner confirm that a block device is overwritten; nothing is asked for a regular file,
/// nor with `yes` or `dry_run`. Returns the target with `chosen` filled in, so that nothing else is
/// claimed later under its name. Errors: the owner's, and usage.option (a size of a block device).
Result<TargetOptions> confirm_target(TargetOptions target, JobOwner& owner,
                                     const std::stop_token& stop);

}  // namespace ingot::agent
