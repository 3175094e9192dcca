#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/reference/completions.hpp"
#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

// What _arguments would take for its own, and single quotes for the shell.
std::string spec_text(std::string_view text) {
  std::string quoted;
  for (const char c : escaped(text, "\\[]:", '\\'))
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted;
}

std::string action(const OptionReference& option) {
  switch (kind_of(option)) {
    case ValueKind::fixed:
      return fmt::format("({})", fmt::join(fixed_values(option), " "));
    case ValueKind::device:
      return "_ingot_devices";
    case ValueKind::file:
      return "_files";
    case ValueKind::directory:
      return "_files -/";
    case ValueKind::none:
    case ValueKind::other:
      break;
  }
  return " ";
}

// '*--image-url[the image]:URL: '; one that may not be given again excludes itself.
void add_option(std::string& text, const OptionReference& option, std::string_view indent) {
  const std::string value =
      option.type.empty() ? "" : fmt::format(":{}:{}", spec_text(option.type), action(option));
  for (const std::string& name : option.names) {
    const std::string before =
        option.repeatable ? "*" : fmt::format("({})", fmt::join(option.names, " "));
    text += fmt::format("{}'{}{}{}[{}]{}' \\\n", indent, before, name,
                        option.type.empty() || !name.starts_with("--") ? "" : "=",
                        spec_text(first_clause(option.help)), value);
  }
}

// The words of one _arguments.
std::string specs(const CommandReference& command, std::string_view indent) {
  std::string text;
  for (const OptionGroupReference& group : command.groups)
    for (const OptionReference& option : group.options) add_option(text, option, indent);
  for (const OptionReference& argument : command.arguments)
    text += fmt::format("{}'{}:{}:{}' \\\n", indent, argument.repeatable ? "*" : "",
                        spec_text(argument.type), action(argument));
  if (text.ends_with(" \\\n")) text.erase(text.size() - 3, 2);
  return text;
}

constexpr const char* kDevices = R"zsh(_ingot_devices() {
    local -a devices
    devices=(/sys/block/*(N:t))
    _alternative "disks:disk:(${(j: :)devices/#//dev/})" 'files:file:_files'
}

)zsh";

}  // namespace

std::string zsh_completion(const ProgramReference& program) {
  const std::string& name = program.program.name;
  std::string text =
      fmt::format("#compdef {0}\n# Made from the options of {0} {1}.\n\n", name, program.version);
  if (program.commands.empty())
    return text + "_arguments -s -S \\\n" + specs(program.program, "    ");
  text += kDevices;
  text += "local curcontext=\"$curcontext\" state line\nlocal -a commands\ncommands=(\n";
  for (const CommandReference& command : program.commands)
    text += fmt::format("    '{}:{}'\n", command.name, spec_text(first_clause(command.about)));
  text += ")\n_arguments -C -S \\\n" + specs(program.program, "    ");
  text.pop_back();
  text += " \\\n    '1:command:->command' \\\n    '*::argument:->argument' && return\n";
  text += "case $state in\n    command)\n        _describe -t commands command commands\n";
  text += "        ;;\n    argument)\n        case $words[1] in\n";
  for (const CommandReference& command : program.commands)
    text +=
        fmt::format("            {})\n                _arguments -s -S \\\n{}                ;;\n",
                    command.name, specs(command, "                    "));
  return text + "        esac\n        ;;\nesac\n";
}

}  // namespace ingot::agent
