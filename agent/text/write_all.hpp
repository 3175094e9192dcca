/// Writing text to a terminal, a pipe or a file that may take it slowly, or not at all.
#pragma once

#include <chrono>
#include <string_view>

namespace ingot::agent {

/// Writes all of `text` to `fd`, waiting at most `patience` at a time for room. Works with blocking
/// descriptors as well: a pipe that poll() calls writable takes PIPE_BUF bytes without blocking.
/// Returns 0, or errno (ETIMEDOUT when there was no room).
int write_all(int fd, std::string_view text, std::chrono::milliseconds patience);

}  // namespace ingot::agent
