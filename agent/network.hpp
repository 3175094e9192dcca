/// From command-line options to what imaging needs to talk to servers.
#pragma once

#include <string>

#include "agent/options.hpp"
#include "disk/core/error.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

/// Reads the password file and makes sure that the CA file can be read, so that a wrong name is an
/// error of usage now and not one of the server's later. Errors: usage.option.
Result<imaging::TransferOptions> transfer_options(const NetworkOptions& options);

}  // namespace ingot::agent
