// `ingot write`.
#include <CLI/CLI.hpp>

#include "agent/cli_grammar.hpp"
#include "agent/cli_help.hpp"

namespace ingot::agent {
namespace {

class WriteGrammar final : public CommandGrammar {
 public:
  explicit WriteGrammar(CLI::App& app)
      : CommandGrammar(app),
        image_(app),
        target_(app, TargetGrammar::Size::settable, TargetGrammar::Naming::or_by_hints),
        config_drive_(app),
        reporting_(app),
        resources_(app),
        network_(app) {
    app.add_flag("--verify-readback", verify_readback_,
                 "read the disk back before it is made bootable, and compare")
        ->group("Target");
  }

  Result<Command> understand() override {
    WriteOptions options;
    INGOT_TRY_ASSIGN(options.image, image_.understand());
    INGOT_TRY_ASSIGN(options.target, target_.understand());
    options.verify_readback = verify_readback_;
    INGOT_TRY_ASSIGN(options.config_drive, config_drive_.understand());
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.resources, resources_.understand());
    INGOT_TRY_ASSIGN(options.network, network_.understand());
    return options;
  }

 private:
  // --help shows the groups in this order.
  ImageGrammar image_;
  TargetGrammar target_;
  ConfigDriveGrammar config_drive_;
  ReportingGrammar reporting_;
  ResourceGrammar resources_;
  NetworkGrammar network_;
  bool verify_readback_ = false;
};

}  // namespace

std::unique_ptr<CommandGrammar> write_grammar(CLI::App& ingot) {
  CLI::App& app = *ingot.add_subcommand("write", "write an image onto a disk");
  app.description(std::string(kWriteAbout));
  app.footer(std::string(kWriteFooter));
  return std::make_unique<WriteGrammar>(app);
}

}  // namespace ingot::agent
