// `ingot devices`.
#include <CLI/CLI.hpp>

#include "agent/cli/commands.hpp"
#include "agent/cli/device_report_text.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/process/exit_code.hpp"

namespace ingot::agent {
namespace {

class DevicesGrammar final : public CommandGrammar {
 public:
  explicit DevicesGrammar(CLI::App& app) : CommandGrammar(app) {
    app.add_option("device", options_.devices, "these alone, also loop devices and the like")
        ->type_name("DEVICE");
    app.add_option("--root-device-hints", hints_, "say which disk these choose, and why no other")
        ->type_name("JSON");
    add_output(app, output_);
  }

  Result<Command> understand() override {
    options_.json = output_ == "json";
    if (given("--root-device-hints")) options_.root_device_hints = hints_;
    return options_;
  }

 private:
  DevicesOptions options_;
  std::string hints_;
  std::string output_ = "text";
};

}  // namespace

std::unique_ptr<CommandGrammar> devices_grammar(CLI::App& ingot) {
  return std::make_unique<DevicesGrammar>(
      add_command(ingot, "devices", "list this machine's disks", kDevicesAbout, kDevicesFooter));
}

int run_command(const DevicesOptions& options) {
  const auto report = look_at_devices(options.devices, options.root_device_hints);
  if (!report) return complain(report.error());
  const int printed = print(options.json ? to_json(*report) + '\n' : to_text(*report));
  const bool chosen = !report->choice || !report->choice->no_match;
  return printed != kExitDone || chosen ? printed : complain(*report->choice->no_match);
}

}  // namespace ingot::agent
