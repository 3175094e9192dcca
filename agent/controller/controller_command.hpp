/// The command line of `ingot-controller`.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/controller/controller.hpp"
#include "agent/reference/reference.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// What the words ask for: to run, or to print a text (--help, --version). Errors: usage.option.
Result<std::variant<ControllerOptions, std::string>> parse_controller_command(
    const std::vector<std::string>& words);

/// The grammar itself, for man pages and completions.
[[nodiscard]] ProgramReference controller_reference();

/// All of the program behind main(); the exit code (docs/errors.md).
int run_controller_command(int argc, char** argv);

}  // namespace ingot::agent
