/// Text for people on standard error.
#pragma once

#include <string>
#include <string_view>

namespace ingot::agent {

/// `text` with control characters (escape sequences of a hostile server or label) replaced by '?'.
/// Line ends become blanks: one message is one line.
[[nodiscard]] std::string printable(std::string_view text);

/// Writes "ingot: <text>" and a line end to standard error, as one write.
void say(std::string_view text);

}  // namespace ingot::agent
