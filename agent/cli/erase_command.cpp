// `ingot erase`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/cli/job_command.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

using disk::EraseMethod;

class EraseGrammar final : public CommandGrammar {
 public:
  explicit EraseGrammar(CLI::App& app)
      : CommandGrammar(app),
        target_(app, TargetGrammar::Size::as_it_is),
        reporting_(app),
        network_(app) {
    OptionGroup(app, "Erasing")
        .choice("--method", method_, "METHOD", {"metadata", "discard", "zero", "secure"},
                "metadata, discard, zero or secure: what each does is\nsaid below (required)");
  }

  Result<Command> understand() override {
    EraseCommandOptions options;
    INGOT_TRY_ASSIGN(options.request.target, target_.understand());
    if (method_.empty())
      return wrong("no method: give --method metadata, discard, zero or secure", "erase");
    for (const auto method :
         {EraseMethod::metadata, EraseMethod::discard, EraseMethod::zero, EraseMethod::secure})
      if (disk::name(method) == method_) options.request.method = method;
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.network, network_.understand());
    return options;
  }

 private:
  TargetGrammar target_;
  ReportingGrammar reporting_;
  NetworkGrammar network_;
  std::string method_;
};

class EraseCommand final : public JobCommand {
 public:
  explicit EraseCommand(const EraseCommandOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  JobResult work(const JobContext& context) override { return run_job(options_.request, context); }

  [[nodiscard]] const std::string& device() const override { return target_.device; }

  std::vector<std::string> describe(const JobResult& result) const override {
    if (result.error) {
      auto lines = agent::describe(*result.error);
      lines.push_back("  " + state_line(result.disk));
      return lines;
    }
    std::vector<std::string> lines;
    if (target_.dry_run)
      lines = rehearsal(*result.erased);
    else
      lines.push_back(done(*result.erased));
    lines.push_back(
        fmt::format("  {}; peak memory {}", time_spent(result), format_bytes(result.peak_rss)));
    if (target_.dry_run) lines.push_back("  dry run: " + state_line(DiskState::untouched));
    return lines;
  }

  [[nodiscard]] std::string state_line(DiskState state) const {
    const std::string& device = target_.device;
    switch (state) {
      case DiskState::untouched:
        return fmt::format("{}: nothing was touched", device);
      case DiskState::unbootable:
        return fmt::format(
            "{} is NOT erased, only in part: its first and last MiB are zeros, it does not boot; "
            "what is between may still be readable. Erase it again",
            device);
      case DiskState::unknown:
        return fmt::format("{} is NOT erased, only in part: it may boot, or not. Erase it again",
                           device);
      case DiskState::complete:
        return fmt::format("{} is erased", device);
    }
    return {};
  }

  // "4 signatures, and both ends of the disk and of 2 partitions".
  static std::string counted(const ErasedDisk& found) {
    return fmt::format("{} signature{}, and the first and last MiB of the disk{}",
                       found.signatures.size(), found.signatures.size() == 1 ? "" : "s",
                       found.partitions == 0
                           ? ""
                           : fmt::format(" and of {} partition{}", found.partitions,
                                         found.partitions == 1 ? "" : "s"));
  }

  [[nodiscard]] std::string done(const ErasedDisk& erased) const {
    switch (options_.request.method) {
      case EraseMethod::metadata:
        return fmt::format("erased the metadata of {}: {}. The data itself is still there",
                           target_.device, counted(erased));
      case EraseMethod::discard:
        return fmt::format(
            "discarded all of {} ({}), and its metadata. A discard does not guarantee that the "
            "data "
            "is gone",
            target_.device, format_bytes(erased.disk_size));
      case EraseMethod::zero:
        return fmt::format("zeroed all of {} ({}); both ends and samples read zeros",
                           target_.device, format_bytes(erased.disk_size));
      case EraseMethod::secure:
        return fmt::format("{} erased itself ({}): {}", target_.device,
                           format_bytes(erased.disk_size), erased.how);
    }
    return {};
  }

  [[nodiscard]] std::vector<std::string> rehearsal(const ErasedDisk& erased) const {
    std::vector<std::string> lines;
    const std::string size = format_bytes(erased.disk_size);
    switch (options_.request.method) {
      case EraseMethod::metadata:
        lines.push_back(fmt::format("would erase the metadata of {} ({}): {}", target_.device, size,
                                    counted(erased)));
        break;
      case EraseMethod::discard:
        lines.push_back(fmt::format("would discard all of {} ({}), and erase its metadata",
                                    target_.device, size));
        break;
      case EraseMethod::zero:
        lines.push_back(fmt::format("would zero all of {} ({})", target_.device, size));
        break;
      case EraseMethod::secure:
        lines.push_back(
            fmt::format("would have {} ({}) erase itself: {}", target_.device, size, erased.how));
        break;
    }
    for (const auto& signature : erased.signatures)
      lines.push_back(fmt::format("  byte {:<14} {:<20} {}", signature.offset,
                                  printable(signature.type), printable(signature.where)));
    return lines;
  }

  const EraseCommandOptions& options_;
  const TargetOptions& target_ = options_.request.target;
};

}  // namespace

std::unique_ptr<CommandGrammar> erase_grammar(CLI::App& ingot) {
  return std::make_unique<EraseGrammar>(
      add_command(ingot, "erase", "take everything off a disk", kEraseAbout, kEraseFooter));
}

int run_command(const EraseCommandOptions& options) {
  return EraseCommand(options).run();
}

}  // namespace ingot::agent
