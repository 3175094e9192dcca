/// Exit codes of the command line: the contract that scripts rely on (docs/errors.md).
#pragma once

#include "disk/core/error.hpp"

namespace ingot::agent {

inline constexpr int kExitDone = 0;
inline constexpr int kExitCancelled = 130;

/// The exit code of a command that ended with an error of this class; never 0.
[[nodiscard]] int exit_code(ErrorClass cls) noexcept;

}  // namespace ingot::agent
