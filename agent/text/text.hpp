/// Text from anywhere, for people on standard error and for JSON.
#pragma once

#include <string>
#include <string_view>

#include "agent/text/journal.hpp"

namespace ingot::agent {

/// `text` with control characters (escape sequences of a hostile server or label) replaced by '?'.
/// Line ends become blanks: one message is one line.
[[nodiscard]] std::string printable(std::string_view text);

/// Text of any origin as the UTF-8 that JSON needs: a byte that is none of it (of a path, a
/// server's words) becomes U+FFFD.
[[nodiscard]] std::string utf8(std::string_view text);

/// Writes "ingot: <text>" and a line end to standard error, as one write. Where that is the journal
/// the text goes there with fields (send_to_journal), and the line to the terminal INGOT_CONSOLE
/// names, if that is set: journald shows entries with fields on no console (StandardOutput=
/// journal+console is of lines alone).
void say(std::string_view text, Severity severity, std::string_view error_code = {});
/// The same for what is no error: a text that begins with "warning: " is a warning.
void say(std::string_view text);

/// The last lines that were said, 256 KiB of them, oldest first: for whoever collects logs.
[[nodiscard]] std::string said_lately();

}  // namespace ingot::agent
