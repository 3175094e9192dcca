/// The command line's grammar (CLI11). docs: `ingot --help`, `ingot COMMAND --help`.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/options.hpp"
#include "agent/reference/reference.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Parses the words after the program's name. Options that exclude each other, or need each other,
/// are refused here; nothing is opened, asked or touched.
/// Errors: usage.option, usage.checksum, without secrets.
Result<Command> parse_command_line(const std::vector<std::string>& words);

/// The grammar itself, for man pages and completions.
[[nodiscard]] ProgramReference command_line_reference();

/// Whether `words` ask for `--progress json`, even if the rest of them is wrong: the machine on the
/// other side then gets its result event all the same.
[[nodiscard]] bool asks_for_json_progress(const std::vector<std::string>& words);

}  // namespace ingot::agent
