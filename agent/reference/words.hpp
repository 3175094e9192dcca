/// Small helpers for text that is taken apart and put together again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

/// The parts of `text` between `separator`s; none of an empty text.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);

/// `text` with every run of blanks and line ends as one blank, and none at its ends.
[[nodiscard]] std::string one_line(std::string_view text);

/// The part of a sentence that says what it is about: up to the first full stop, colon, semicolon
/// or parenthesis; all of a text that starts with one.
[[nodiscard]] std::string first_clause(std::string_view text);

/// `text` with `escape` before every character that is one of `special`.
[[nodiscard]] std::string escaped(std::string_view text, std::string_view special, char escape);

}  // namespace ingot::agent
