/// A program's man pages and completions as files, where systems look for them.
#pragma once

#include <string>

#include "agent/reference/reference.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Writes, below `directory` as below a prefix's share/: man/manN/, bash-completion/completions/,
/// zsh/vendor-completions/ and fish/vendor_completions.d/. Makes the folders; overwrites files.
/// Errors: usage.option naming the file that could not be written.
Result<void> write_reference(const ProgramReference& program, const std::string& directory);

}  // namespace ingot::agent
