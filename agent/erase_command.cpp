#include "agent/erase_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "agent/confirmation.hpp"
#include "agent/job_command.hpp"
#include "agent/quantity.hpp"
#include "agent/result_text.hpp"
#include "agent/text.hpp"
#include "disk/claim.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

using disk::EraseMethod;

DiskState state_of(disk::EraseState state) {
  switch (state) {
    case disk::EraseState::untouched:
      return DiskState::untouched;
    case disk::EraseState::unbootable:
      return DiskState::unbootable;
    case disk::EraseState::unknown:
      return DiskState::unknown;
    case disk::EraseState::erased:
      return DiskState::complete;
  }
  return DiskState::unknown;
}

class EraseCommand final : public JobCommand {
 public:
  explicit EraseCommand(const EraseCommandOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  Result<void> work(JobReporter& reporter, JobResult& result) override {
    INGOT_TRY_ASSIGN(const auto shown,
                     confirm_target(target_, STDIN_FILENO, STDERR_FILENO, job().token()));
    start_clock();
    reporter.started_erase(disk::name(options_.method), target_.device, target_.dry_run);
    reporter.on_phase(Phase::connect);
    INGOT_TRY_ASSIGN(
        const disk::Claim claimed,
        disk::claim(target_.device,
                    {.read_only = target_.dry_run, .force = target_.force, .expected = shown}));
    size_ = claimed.size;
    disk::EraseOptions how;
    how.dry_run = target_.dry_run;
    auto outcome = disk::erase(claimed, options_.method, counters(), reporter, job().token(), how);
    result.disk = state_of(outcome.state);
    const auto error = std::exchange(outcome.error, std::nullopt);
    result.erased = ErasedDisk{options_.method, std::move(outcome.how), std::move(outcome.found)};
    if (!error) return {};
    // The result says what cancelled it; how far it had come is told here.
    if (error->cls() == ErrorClass::cancelled) reporter.on_note(error->message());
    return tl::unexpected(*error);
  }

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
    const auto spent = std::chrono::milliseconds(static_cast<std::int64_t>(result.seconds * 1000));
    lines.push_back(
        fmt::format("  {}; peak memory {}", format_duration(spent), format_bytes(result.peak_rss)));
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
  static std::string counted(const disk::Survey& found) {
    const std::size_t partitions = found.regions.empty() ? 0 : found.regions.size() - 1;
    return fmt::format("{} signature{}, and the first and last MiB of the disk{}",
                       found.signatures.size(), found.signatures.size() == 1 ? "" : "s",
                       partitions == 0 ? ""
                                       : fmt::format(" and of {} partition{}", partitions,
                                                     partitions == 1 ? "" : "s"));
  }

  [[nodiscard]] std::string done(const ErasedDisk& erased) const {
    switch (erased.method) {
      case EraseMethod::metadata:
        return fmt::format("erased the metadata of {}: {}. The data itself is still there",
                           target_.device, counted(erased.found));
      case EraseMethod::discard:
        return fmt::format(
            "discarded all of {} ({}), and its metadata. A discard does not guarantee that the "
            "data "
            "is gone",
            target_.device, format_bytes(size_));
      case EraseMethod::zero:
        return fmt::format("zeroed all of {} ({}); both ends and samples read zeros",
                           target_.device, format_bytes(size_));
      case EraseMethod::secure:
        return fmt::format("{} erased itself ({}): {}", target_.device, format_bytes(size_),
                           erased.how);
    }
    return {};
  }

  [[nodiscard]] std::vector<std::string> rehearsal(const ErasedDisk& erased) const {
    std::vector<std::string> lines;
    const std::string size = format_bytes(size_);
    switch (erased.method) {
      case EraseMethod::metadata:
        lines.push_back(fmt::format("would erase the metadata of {} ({}): {}", target_.device, size,
                                    counted(erased.found)));
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
    for (const auto& signature : erased.found.signatures)
      lines.push_back(fmt::format("  byte {:<14} {:<20} {}", signature.offset,
                                  printable(signature.type),
                                  printable(erased.found.regions[signature.region].name)));
    return lines;
  }

  const EraseCommandOptions& options_;
  const TargetOptions& target_ = options_.target;
  std::uint64_t size_ = 0;
};

}  // namespace

int run_erase(const EraseCommandOptions& options) {
  return EraseCommand(options).run();
}

}  // namespace ingot::agent
