// `ingot write`.
#include <CLI/CLI.hpp>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/cli/job_command.hpp"
#include "agent/report/result_text.hpp"

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
    OptionGroup(app, "Target")
        .flag("--verify-readback", verify_readback_,
              "read the disk back before it is made bootable, and compare");
  }

  Result<Command> understand() override {
    WriteOptions options;
    INGOT_TRY_ASSIGN(options.request.image, image_.understand());
    options.os_image = image_.os_image();
    INGOT_TRY_ASSIGN(options.request.target, target_.understand());
    options.request.verify_readback = verify_readback_;
    INGOT_TRY_ASSIGN(options.request.config_drive, config_drive_.understand());
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.request.resources, resources_.understand());
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

class WriteCommand final : public JobCommand {
 public:
  explicit WriteCommand(const WriteOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  JobResult work(const JobContext& context) override { return run_image_job(options_, context); }

  [[nodiscard]] const std::string& device() const override {
    return options_.request.target.device;
  }

  std::vector<std::string> describe(const JobResult& result) const override {
    return agent::describe(result, options_.request.target.dry_run);
  }

  const WriteOptions& options_;
};

}  // namespace

std::unique_ptr<CommandGrammar> write_grammar(CLI::App& ingot) {
  return std::make_unique<WriteGrammar>(
      add_command(ingot, "write", "write an image onto a disk", kWriteAbout, kWriteFooter));
}

int run_command(const WriteOptions& options) {
  return WriteCommand(options).run();
}

}  // namespace ingot::agent
