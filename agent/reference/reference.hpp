/// What a program's grammar declares, as plain data: what man pages and completions are made of.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

namespace ingot::agent {

/// One option, or one argument without a name.
struct OptionReference {
  std::vector<std::string> names;   ///< "-o", "--output"; none: an argument
  std::string type;                 ///< "FILE|URL"; "": a flag
  std::string help;                 ///< one line
  std::vector<std::string> values;  ///< the ones it takes; none: any of its type
  bool repeatable = false;
  bool required = false;
};

struct OptionGroupReference {
  std::string name;
  std::vector<OptionReference> options;
};

/// A command with what `COMMAND --help` says of it; or the program itself, without a command.
struct CommandReference {
  std::string name;  ///< "write"; of the program: "ingot"
  std::string about, footer;
  std::vector<OptionGroupReference> groups;  ///< in --help's order
  std::vector<OptionReference> arguments;
};

struct ProgramReference {
  CommandReference program;
  std::vector<CommandReference> commands;
  std::string version;
  int section = 1;   ///< of the manual
  std::string more;  ///< a footer for the manual alone, which --help has no room for
};

/// What `app` declares, in its order. Options that --help does not show are left out. An option
/// whose help says "(required" is.
[[nodiscard]] ProgramReference read_reference(CLI::App& app);

/// What stands for a value of `option`.
enum class ValueKind { none, fixed, file, directory, device, other };
/// By its values, else by the words of its type that '|' separates: FILE, DIR, DEV, DEVICE.
[[nodiscard]] ValueKind kind_of(const OptionReference& option);
/// Its values, or the words in lower case of its type, which stand for themselves.
[[nodiscard]] std::vector<std::string> fixed_values(const OptionReference& option);

}  // namespace ingot::agent
