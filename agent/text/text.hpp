/// Text from anywhere, for people on standard error and for JSON.
#pragma once

#include <string>
#include <string_view>

namespace ingot::agent {

/// `text` with control characters (escape sequences of a hostile server or label) replaced by '?'.
/// Line ends become blanks: one message is one line.
[[nodiscard]] std::string printable(std::string_view text);

/// Text of any origin as the UTF-8 that JSON needs: a byte that is none of it (of a path, a
/// server's words) becomes U+FFFD.
[[nodiscard]] std::string utf8(std::string_view text);

/// Writes "ingot: <text>" and a line end to standard error, as one write.
void say(std::string_view text);

/// The last lines that were said, 256 KiB of them, oldest first: for whoever collects logs.
[[nodiscard]] std::string said_lately();

}  // namespace ingot::agent
