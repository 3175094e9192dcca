/// `ingot erase`: a disk's contents, or only what tells others that there are any, taken away.
#pragma once

#include "agent/options.hpp"

namespace ingot::agent {

/// Runs the command on standard input, output and error and returns its exit code (docs/errors.md).
///
/// Order    options → confirmation → claim → survey → erase → re-read partitions. Whatever fails
///          before the survey's end has touched nothing.
/// Signals  SIGINT, SIGTERM and SIGHUP cancel between two requests to the disk; an erase that the
///          disk does itself is waited for.
int run_erase(const EraseCommandOptions& options);

}  // namespace ingot::agent
