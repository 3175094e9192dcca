// `ingot verify`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/cli/job_command.hpp"
#include "agent/report/result_text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

class VerifyGrammar final : public CommandGrammar {
 public:
  explicit VerifyGrammar(CLI::App& app)
      : CommandGrammar(app), image_(app), reporting_(app), resources_(app), network_(app) {
    OptionGroup(app, "Target")
        .value("--device", device_, "DEV", "the disk, or a regular file (required)");
  }

  Result<Command> understand() override {
    VerifyOptions options;
    INGOT_TRY_ASSIGN(options.request.image, image_.understand());
    options.os_image = image_.os_image();
    if (device_.empty()) return wrong("no disk: give --device", app().get_name());
    options.request.device = device_;
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.request.resources, resources_.understand());
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

class VerifyCommand final : public JobCommand {
 public:
  explicit VerifyCommand(const VerifyOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  JobResult work(const JobContext& context) override { return run_image_job(options_, context); }

  [[nodiscard]] const std::string& device() const override { return options_.request.device; }

  std::vector<std::string> describe(const JobResult& result) const override {
    if (result.error) return agent::describe(*result.error);
    std::vector<std::string> lines;
    if (const auto& image = result.image) {
      lines.push_back(fmt::format("{} holds the image: a {} disk from {} of {}", result.device,
                                  format_bytes(image->virtual_size),
                                  format_bytes(result.progress.received), image->format));
      lines.push_back("  " + digest_line(result));
    }
    lines.push_back(fmt::format("  {}, {} compared; peak memory {}", time_spent(result),
                                format_bytes(result.progress.verified),
                                format_bytes(result.peak_rss)));
    return lines;
  }

  const VerifyOptions& options_;
};

}  // namespace

std::unique_ptr<CommandGrammar> verify_grammar(CLI::App& ingot) {
  return std::make_unique<VerifyGrammar>(
      add_command(ingot, "verify", "compare a disk with an image", kVerifyAbout, kVerifyFooter));
}

int run_command(const VerifyOptions& options) {
  return VerifyCommand(options).run();
}

}  // namespace ingot::agent
