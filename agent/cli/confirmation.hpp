/// The question before a disk is overwritten.
#pragma once

#include <stop_token>
#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Asks, on the terminal `in`, for the device's path to be typed; the question, with what is on the
/// disk, goes to `out`. Anything else than the path is a no. The descriptors stay the caller's.
/// Errors: usage.confirmation (no terminal, or a no), cancelled when `stop` is requested.
Result<void> ask_for_confirmation(const std::string& device, int in, int out, std::stop_token stop);

}  // namespace ingot::agent
