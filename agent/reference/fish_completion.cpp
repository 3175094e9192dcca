#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/reference/completions.hpp"
#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

std::string in_quotes(std::string_view text) {
  return '\'' + escaped(text, "\\'", '\\') + '\'';
}

// How `complete` is told what a value may be.
std::string value(const OptionReference& option) {
  switch (kind_of(option)) {
    case ValueKind::none:
      return {};
    case ValueKind::fixed:
      return fmt::format(" -x -a '{}'", fmt::join(fixed_values(option), " "));
    case ValueKind::device:  // or a file
      return " -r -F -a '(string replace /sys/block /dev /sys/block/*)'";
    case ValueKind::file:
      return " -r -F";
    case ValueKind::directory:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::other:
      return " -x";
  }
  return {};
}

void add_command(std::string& text, const std::string& start, const CommandReference& command) {
  for (const OptionGroupReference& group : command.groups)
    for (const OptionReference& option : group.options) {
      text += start;
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      text += fmt::format("{} -d {}\n", value(option), in_quotes(first_clause(option.help)));
    }
  for (const OptionReference& argument : command.arguments) {
    const ValueKind kind = kind_of(argument);
    if (kind == ValueKind::file || kind == ValueKind::device)
      text += start + value(argument).replace(0, 3, "") + '\n';
  }
}

}  // namespace

std::string fish_completion(const ProgramReference& program) {
  const std::string& name = program.program.name;
  std::string text = fmt::format(
      "# Completion of {0} for fish; made from the options of {0} {1}.\n", name, program.version);
  const std::string start = "complete -c " + name;
  text += start + " -f\n";
  if (program.commands.empty()) {
    add_command(text, start, program.program);
    return text;
  }
  const std::string first = start + " -n __fish_use_subcommand";
  for (const CommandReference& command : program.commands)
    text += fmt::format("{} -a {} -d {}\n", first, command.name,
                        in_quotes(first_clause(command.about)));
  add_command(text, first, program.program);
  for (const CommandReference& command : program.commands)
    add_command(text, fmt::format("{} -n '__fish_seen_subcommand_from {}'", start, command.name),
                command);
  return text;
}

}  // namespace ingot::agent
