#include "agent/reference/reference.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "agent/reference/allowed_values.hpp"
#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

OptionReference read_option(CLI::Option& option) {
  OptionReference read;
  for (const std::string& name : option.get_snames()) read.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) read.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) read.type = option.get_type_name();
  read.help = one_line(option.get_description());
  read.values = known_values(option);
  read.repeatable = option.get_items_expected_max() > 1;
  read.required = read.help.find("(required") != std::string::npos;
  return read;
}

CommandReference read_command(CLI::App& app) {
  CommandReference read;
  read.name = app.get_name();
  read.about = one_line(app.get_description());
  read.footer = app.get_footer();
  for (CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    const std::string& group = option->get_group();
    if (group.empty()) continue;  // hidden from --help
    if (option->get_positional()) {
      read.arguments.push_back(read_option(*option));
      continue;
    }
    auto found = std::ranges::find(read.groups, group, &OptionGroupReference::name);
    if (found == read.groups.end())
      found = read.groups.insert(found, OptionGroupReference{group, {}});
    found->options.push_back(read_option(*option));
  }
  return read;
}

}  // namespace

ProgramReference read_reference(CLI::App& app) {
  ProgramReference read;
  read.program = read_command(app);
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    read.commands.push_back(read_command(*command));
  return read;
}

std::vector<std::string> fixed_values(const OptionReference& option) {
  if (!option.values.empty()) return option.values;
  std::vector<std::string> words;
  for (const std::string& word : split(option.type, '|'))
    if (std::ranges::all_of(word, [](unsigned char c) { return std::islower(c) != 0; }))
      words.push_back(word);
  return words;
}

ValueKind kind_of(const OptionReference& option) {
  if (option.type.empty()) return ValueKind::none;
  if (!fixed_values(option).empty()) return ValueKind::fixed;
  const auto types = split(option.type, '|');
  const auto has = [&types](const char* type) { return std::ranges::count(types, type) > 0; };
  if (has("DEV") || has("DEVICE")) return ValueKind::device;
  if (has("FILE")) return ValueKind::file;
  if (has("DIR")) return ValueKind::directory;
  return ValueKind::other;
}

}  // namespace ingot::agent
