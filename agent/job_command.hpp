/// JobCommand: what every command has that works on a disk for a while: signals, the network's
/// credentials, progress on a terminal or for machines, and a result that is told in any case.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/event.hpp"
#include "agent/event_outlet.hpp"
#include "agent/job_reporter.hpp"
#include "agent/options.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

/// One run of such a command; the work itself is the derived class's.
///
/// Signals  SIGINT, SIGTERM and SIGHUP stop `job` with Errc::cancelled.
/// Threads  run() makes and joins its own; work() is called on the caller's.
class JobCommand {
 public:
  /// Both outlive the command.
  JobCommand(const ReportingOptions& reporting, const NetworkOptions& network);
  JobCommand(const JobCommand&) = delete;
  JobCommand& operator=(const JobCommand&) = delete;
  virtual ~JobCommand() = default;

  /// Runs the command on standard input, output and error and returns its exit code.
  int run();

 protected:
  using Clock = std::chrono::steady_clock;

  /// Does it. Calls reporter.started() once it is known what is done to what. What it puts into
  /// `result` stays there when it fails; the error is added by the caller.
  virtual Result<void> work(JobReporter& reporter, JobResult& result) = 0;
  /// The result in words, for standard error.
  virtual std::vector<std::string> describe(const JobResult& result) const = 0;

  [[nodiscard]] FirstError& job() noexcept { return job_; }
  [[nodiscard]] ProgressCounters& counters() noexcept { return counters_; }
  [[nodiscard]] const imaging::TransferOptions& transfer() const noexcept { return transfer_; }
  /// The clock of the result starts now: the time of a question is the user's.
  void start_clock() noexcept { start_ = Clock::now(); }

 private:
  Result<void> open_network(std::vector<std::unique_ptr<EventOutlet>>& outlets);
  void try_work(JobReporter& reporter, JobResult& result);

  const ReportingOptions& reporting_;
  const NetworkOptions& network_;
  Clock::time_point start_ = Clock::now();
  const std::string deploy_id_ = random_uuid();
  imaging::TransferOptions transfer_;
  ProgressCounters counters_;
  std::atomic<bool> over_ = false;  // the disk is done with; only reporting is left
  std::stop_source hurry_;
  FirstError job_;
};

}  // namespace ingot::agent
