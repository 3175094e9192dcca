/// Keeping secrets secret: out of /proc/PID/cmdline, out of messages, and read from files.
#pragma once

#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Overwrites in place, with '*', the userinfo and the query values of every URL among the
/// arguments, so that `ps` shows them no longer. To be called as soon as they have been copied:
/// argv is what /proc/PID/cmdline reads. (Until then they can be seen; a password belongs into a
/// file.)
void scrub_arguments(int argc, char** argv) noexcept;

/// `text` with every URL in it redacted (imaging::redacted). For messages of libraries that quote
/// what they were given.
[[nodiscard]] std::string redact_text(std::string_view text);

/// The first line of a file that holds a password or token, without its line end.
/// Errors: usage.option naming `option` and `path` (unreadable, empty, more than 4 KiB, control
/// characters), never the content.
Result<std::string> read_secret(const std::string& path, std::string_view option);

}  // namespace ingot::agent
