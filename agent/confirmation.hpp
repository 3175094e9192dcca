/// The question before a disk is overwritten.
#pragma once

#include <sys/types.h>

#include <optional>
#include <stop_token>
#include <string>

#include "agent/options.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Asks, on the terminal `in`, for the device's path to be typed; the question, with what is on the
/// disk, goes to `out`. Anything else than the path is a no. The descriptors stay the caller's.
/// Errors: usage.confirmation (no terminal, or a no), cancelled when `stop` is requested.
Result<void> ask_for_confirmation(const std::string& device, int in, int out, std::stop_token stop);

/// The same for the target of a command: nothing is asked for a regular file, nor with --yes or
/// --dry-run. Returns the block device that was shown, if it is one, so that what is claimed later
/// can be compared with it. Errors: also usage.option (--size of a block device).
Result<std::optional<dev_t>> confirm_target(const TargetOptions& target, int in, int out,
                                            std::stop_token stop);

}  // namespace ingot::agent
