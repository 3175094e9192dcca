/// `ingot verify`: whether a disk holds an image.
#pragma once

#include "agent/options.hpp"

namespace ingot::agent {

/// Runs the command on standard input, output and error and returns its exit code (docs/errors.md).
///
/// Order    options → manifest → disk opened to be read → checksum list → stream_image, compared as
///          it comes → partition tables. What is told of a difference is told only after the image
///          was found to be the right one.
/// Signals  SIGINT, SIGTERM and SIGHUP cancel.
int run_verify(const VerifyOptions& options);

}  // namespace ingot::agent
