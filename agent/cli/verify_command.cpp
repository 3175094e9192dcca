// `ingot verify`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/cli/job_command.hpp"
#include "agent/cli/result_text.hpp"
#include "agent/text/quantity.hpp"
#include "disk/core/units.hpp"

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
  JobResult work(const JobContext& context) override {
    VerifyRequest request = options_.request;
    request.transfer = transfer();
    if (auto read = read_manifest(options_.os_image, request.image); !read)
      return failed_job(read.error(), request.device);
    return run_job(request, context);
  }

  std::vector<std::string> describe(const JobResult& result) const override {
    if (result.error) return agent::describe(*result.error);
    std::vector<std::string> lines;
    const auto spent = std::chrono::milliseconds(static_cast<std::int64_t>(result.seconds * 1000));
    if (const auto& image = result.image) {
      lines.push_back(fmt::format("{} holds the image: a {} disk from {} of {}", result.device,
                                  format_bytes(image->virtual_size),
                                  format_bytes(result.progress.received), image->format));
      lines.push_back(
          fmt::format("  {} {} ({})", name(image->digest.type), image->digest.hex,
                      result.verified ? "as expected" : "NOT VERIFIED: nothing to compare with"));
    }
    lines.push_back(fmt::format("  {}, {} compared; peak memory {}", format_duration(spent),
                                format_bytes(result.progress.verified),
                                format_bytes(result.peak_rss)));
    return lines;
  }

  const VerifyOptions& options_;
};

}  // namespace

std::unique_ptr<CommandGrammar> verify_grammar(CLI::App& ingot) {
  CLI::App& app = *ingot.add_subcommand("verify", "compare a disk with an image");
  app.description(std::string(kVerifyAbout));
  app.footer(std::string(kVerifyFooter));
  return std::make_unique<VerifyGrammar>(app);
}

int run_command(const VerifyOptions& options) {
  return VerifyCommand(options).run();
}

}  // namespace ingot::agent
