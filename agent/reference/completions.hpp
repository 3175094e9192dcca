/// What shells complete: commands, options, the values that there are, files, directories, disks.
#pragma once

#include <string>

#include "agent/reference/reference.hpp"

namespace ingot::agent {

/// For bash-completion 2.x, which loads it when the program is first completed.
[[nodiscard]] std::string bash_completion(const ProgramReference& program);
/// An autoloaded function of zsh's completion system (zshcompsys(1)).
[[nodiscard]] std::string zsh_completion(const ProgramReference& program);
/// `complete` commands of fish 3 (complete(1)).
[[nodiscard]] std::string fish_completion(const ProgramReference& program);

}  // namespace ingot::agent
