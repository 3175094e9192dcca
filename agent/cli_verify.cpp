// `ingot verify`.
#include <CLI/CLI.hpp>

#include "agent/cli_grammar.hpp"
#include "agent/cli_help.hpp"

namespace ingot::agent {
namespace {

class VerifyGrammar final : public CommandGrammar {
 public:
  explicit VerifyGrammar(CLI::App& app)
      : CommandGrammar(app), image_(app), reporting_(app), resources_(app), network_(app) {
    app.add_option("--device", device_, "the disk, or a regular file (required)")
        ->type_name("DEV")
        ->group("Target");
  }

  Result<Command> understand() override {
    VerifyOptions options;
    INGOT_TRY_ASSIGN(options.image, image_.understand());
    if (device_.empty()) return wrong("no disk: give --device", app().get_name());
    options.device = device_;
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.resources, resources_.understand());
    INGOT_TRY_ASSIGN(options.network, network_.understand());
    return options;
  }

 private:
  ImageGrammar image_;
  std::string device_;
  ReportingGrammar reporting_;
  ResourceGrammar resources_;
  NetworkGrammar network_;
};

}  // namespace

std::unique_ptr<CommandGrammar> verify_grammar(CLI::App& ingot) {
  CLI::App& app = *ingot.add_subcommand("verify", "compare a disk with an image");
  app.description(std::string(kVerifyAbout));
  app.footer(std::string(kVerifyFooter));
  return std::make_unique<VerifyGrammar>(app);
}

}  // namespace ingot::agent
