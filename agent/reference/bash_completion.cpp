#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "agent/reference/completions.hpp"

namespace ingot::agent {
namespace {

// Whole disks and everything else that is a block device of its own, and files: both can be
// written.
constexpr const char* kDevices = R"(_ingot_devices()
{
    local entry
    for entry in /sys/block/*; do
        entry=/dev/${entry##*/}
        [[ $entry == "$cur"* ]] && COMPREPLY+=("$entry")
    done
    _filedir
}

)";

std::string function_of(const std::string& program) {
  std::string name = '_' + program;
  std::ranges::replace(name, '-', '_');
  return name;
}

// The commands that give the candidates for a value.
std::string action(const OptionReference& option) {
  switch (kind_of(option)) {
    case ValueKind::fixed:
      return fmt::format(R"(COMPREPLY=($(compgen -W '{}' -- "$cur")))",
                         fmt::join(fixed_values(option), " "));
    case ValueKind::device:
      return "_ingot_devices";
    case ValueKind::file:
      return "_filedir";
    case ValueKind::directory:
      return "_filedir -d";
    case ValueKind::none:
    case ValueKind::other:
      break;
  }
  return {};
}

// "write:--device", as `case` has them, by what they complete.
void values_of(const CommandReference& command, const std::string& name,
               std::map<std::string, std::vector<std::string>>& by_action) {
  for (const OptionGroupReference& group : command.groups)
    for (const OptionReference& option : group.options)
      if (kind_of(option) != ValueKind::none)
        for (const std::string& word : option.names)
          by_action[action(option)].push_back(name + ':' + word);
}

std::string options_of(const CommandReference& command) {
  std::vector<std::string> words;
  for (const OptionGroupReference& group : command.groups)
    for (const OptionReference& option : group.options)
      words.insert(words.end(), option.names.begin(), option.names.end());
  return fmt::format("{}", fmt::join(words, " "));
}

std::string words_of(const CommandReference& command, const std::string& name) {
  std::string text = fmt::format("        '{}')\n", name);
  text += "            if [[ $cur == -* ]]; then\n";
  text += fmt::format("                COMPREPLY=($(compgen -W '{}' -- \"$cur\"))\n",
                      options_of(command));
  if (!command.arguments.empty() && !action(command.arguments.front()).empty())
    text +=
        fmt::format("            else\n                {}\n", action(command.arguments.front()));
  return text + "            fi\n            ;;\n";
}

}  // namespace

std::string bash_completion(const ProgramReference& program) {
  const std::string& name = program.program.name;
  std::map<std::string, std::vector<std::string>> by_action;
  values_of(program.program, "", by_action);
  for (const CommandReference& command : program.commands)
    values_of(command, command.name, by_action);

  std::string text = fmt::format(
      "# Completion of {0} for bash; made from the options of {0} {1}.\n", name, program.version);
  const bool devices = by_action.contains("_ingot_devices");
  if (devices) text += kDevices;
  text +=
      fmt::format("{}()\n{{\n    local cur prev words cword split command=\n", function_of(name));
  text += "    _init_completion -s || return\n";
  if (!program.commands.empty()) text += "    ((cword > 1)) && command=${words[1]}\n";
  text += "    case $command:$prev in\n";
  for (const auto& [what, cases] : by_action)
    text += fmt::format("        {})\n            {}\n            return\n            ;;\n",
                        fmt::join(cases, " | \\\n        "), what.empty() ? ":" : what);
  text += "    esac\n    $split && return\n    case $command in\n";
  if (program.commands.empty()) {
    text += words_of(program.program, "");
  } else {
    std::vector<std::string> words;
    for (const CommandReference& command : program.commands) words.push_back(command.name);
    text += fmt::format(
        "        '')\n            COMPREPLY=($(compgen -W '{} {}' -- \"$cur\"))\n"
        "            ;;\n",
        fmt::join(words, " "), options_of(program.program));
    for (const CommandReference& command : program.commands)
      text += words_of(command, command.name);
  }
  text += fmt::format("    esac\n}} && complete -F {} {}\n", function_of(name), name);
  return text;
}

}  // namespace ingot::agent
