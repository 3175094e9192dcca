/// Options that take one of a fixed set of values.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class Option;
}  // namespace CLI

namespace ingot::agent {

/// Makes every other value a mistake on the command line, which names the ones there are. An empty
/// value is left to whoever refuses those. The help stays as it is.
void allow_only(CLI::Option& option, const std::vector<std::string>& values);

/// For an option whose values somebody else checks, and takes in other spellings as well.
void suggest(CLI::Option& option, const std::vector<std::string>& values);

/// What either of them was given, or nothing.
[[nodiscard]] std::vector<std::string> known_values(CLI::Option& option);

}  // namespace ingot::agent
