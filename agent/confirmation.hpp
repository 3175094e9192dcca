/// The question before a disk is overwritten.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "agent/options.hpp"
#include "disk/core/error.hpp"
#include "disk/inventory/disk.hpp"

namespace ingot::agent {

/// Asks, on the terminal `in`, for the device's path to be typed; the question, with what is on the
/// disk, goes to `out`. Anything else than the path is a no. The descriptors stay the caller's.
/// Errors: usage.confirmation (no terminal, or a no), cancelled when `stop` is requested.
Result<void> ask_for_confirmation(const std::string& device, int in, int out, std::stop_token stop);

/// The same for the target of a command: nothing is asked for a regular file, nor with --yes or
/// --dry-run. Returns which block device was shown, if it is one, so that nothing else is claimed
/// later under its name. Errors: also usage.option (--size of a block device).
Result<std::optional<disk::DiskIdentity>> confirm_target(const TargetOptions& target, int in,
                                                         int out, std::stop_token stop);

}  // namespace ingot::agent
