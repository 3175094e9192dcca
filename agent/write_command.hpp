/// `ingot write`: from options to a disk, or to an error that says which state the disk is in.
#pragma once

#include "agent/options.hpp"

namespace ingot::agent {

/// Runs the command on standard input, output and error and returns its exit code (docs/errors.md).
///
/// Order    options → manifest → confirmation → claim → checksum list → stream_image → finish →
///          clear scratch → commit → re-read partitions. Whatever fails before the claim has
///          touched nothing; whatever fails after begin() leaves a disk that does not boot.
/// Signals  SIGINT, SIGTERM and SIGHUP cancel; the result is then still told to everybody.
int run_write(const WriteOptions& options);

}  // namespace ingot::agent
