/// Keeping secrets secret: out of /proc/PID/cmdline, out of messages, and read from files.
#pragma once

#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Overwrites in place, with '*', the userinfo and the query values of every URL among the
/// arguments, and every config drive given as base64 text, so that `ps` shows them no longer. To be
/// called as soon as they have been copied: argv is what /proc/PID/cmdline reads. (Until then they
/// can be seen; a password belongs into a file.)
void scrub_arguments(int argc, char** argv) noexcept;

/// `text` with every URL in it redacted (redacted), and every config drive in base64. For
/// messages of libraries that quote what they were given.
[[nodiscard]] std::string redact_text(std::string_view text);

/// Whether `word` may be a config drive, or a damaged part of one, as base64 text, and so must not
/// be shown: longer than any checksum and most paths, or of nothing but base64's characters. Paths
/// as people write them (with a leading '/', './', '../' or '~', or short ones with a '.') are not.
[[nodiscard]] bool may_be_base64(std::string_view word) noexcept;

/// The first line of a file that holds a password or token, without its line end.
/// Errors: usage.option naming `option` and `path` (unreadable, empty, more than 4 KiB, control
/// characters), never the content.
Result<std::string> read_secret(const std::string& path, std::string_view option);

}  // namespace ingot::agent
