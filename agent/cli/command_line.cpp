#include "agent/cli/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/process/secrets.hpp"

namespace ingot::agent {
namespace {

// In the order in which --help shows them.
constexpr std::unique_ptr<CommandGrammar> (*kCommands[])(CLI::App&) = {
    write_grammar,   verify_grammar,  erase_grammar,     image_info_grammar,
    devices_grammar, resolve_grammar, provision_grammar, agent_grammar,
};

// The program's grammar and those of its commands, which type into what they own.
struct Grammar {
  Grammar() : app(std::string(kAbout), "ingot") {
    app.set_version_flag("--version", std::string("ingot " INGOT_VERSION));
    app.footer(std::string(kTopFooter));
    app.require_subcommand(1);
    app.get_formatter()->column_width(32);
    for (const auto& make : kCommands) commands.push_back(make(app));
  }

  CLI::App app;
  std::vector<std::unique_ptr<CommandGrammar>> commands;
};

Result<Command> parse(const std::vector<std::string>& words) {
  if (words.size() == 2 && words.front() == "--generate-reference")
    return GenerateReference{words.back()};
  Grammar grammar;
  CLI::App& app = grammar.app;
  const auto& grammars = grammar.commands;
  std::vector<std::string> names;
  for (const auto& command : grammars) names.push_back(command->app().get_name());
  if (words.empty()) return wrong(fmt::format("no command: give {}", fmt::join(names, ", ")), "");
  if (!words.front().starts_with('-') && std::ranges::count(names, words.front()) == 0)
    return wrong(fmt::format("no command '{}': there are {}", redact_text(words.front()),
                             fmt::join(names, ", ")),
                 "");

  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants it
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* sub : app.get_subcommands()) return ShowText{sub->help("ingot")};
    return ShowText{app.help()};
  } catch (const CLI::CallForVersion& version) {
    return ShowText{std::string(version.what()) + '\n'};
  } catch (const CLI::ParseError& error) {
    const auto subs = app.get_subcommands();
    return wrong(redact_text(error.what()), subs.empty() ? "" : subs.front()->get_name());
  }
  // An option that was given with nothing in it ("--proxy $UNSET") is a mistake, not a default.
  for (const CLI::App* sub : app.get_subcommands())
    for (const CLI::Option* option : sub->get_options())
      for (const std::string& value : option->results())
        if (value.empty()) return wrong(option->get_name() + ": empty", sub->get_name());

  const auto named =
      std::ranges::find_if(grammars, [](const auto& command) { return command->app().parsed(); });
  if (named == grammars.end()) return fail(Errc::internal_bug, "a command without a grammar");
  return (*named)->understand();
}

}  // namespace

Result<Command> parse_command_line(const std::vector<std::string>& words) {
  try {
    return parse(words);
  } catch (const std::exception& error) {
    return fail(Errc::internal_bug,
                std::string("reading the command line: ") + redact_text(error.what()));
  }
}

ProgramReference command_line_reference() {
  Grammar grammar;
  ProgramReference reference = read_reference(grammar.app);
  reference.version = INGOT_VERSION;
  reference.more = std::string(kManual);
  return reference;
}

bool asks_for_json_progress(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] == "--progress=json" ||
        (words[i] == "--progress" && i + 1 < words.size() && words[i + 1] == "json"))
      return true;
  return false;
}

}  // namespace ingot::agent
