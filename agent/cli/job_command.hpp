/// JobCommand: what every command has that works on a disk for a while: signals, the network's
/// credentials, progress on a terminal or for machines, and a result that is told in any case.
#pragma once

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/cli/options.hpp"
#include "agent/job/job.hpp"
#include "agent/report/event.hpp"
#include "agent/report/event_outlet.hpp"
#include "agent/report/job_reporter.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"

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
  /// Makes the request of the options and runs it.
  virtual JobResult work(const JobContext& context) = 0;
  /// The device as the options name it; "" when hints are to choose one.
  [[nodiscard]] virtual const std::string& device() const = 0;
  /// The result in words, for standard error.
  virtual std::vector<std::string> describe(const JobResult& result) const = 0;

  /// Runs the request of `options` with what only a running command knows: what its manifest says,
  /// and the way to servers. Errors end up in the result.
  template <class Options>
  JobResult run_image_job(const Options& options, const JobContext& context) const {
    auto request = options.request;
    request.transfer = transfer_;
    if (auto read = read_manifest(options.os_image, request.image); !read)
      return failed_job(context.job.or_else(read.error()), device());
    return run_job(request, context);
  }

 private:
  JobResult run_work(const JobContext& context);
  static Result<void> read_manifest(const std::string& file, ImageOptions& image);
  Result<void> open_network(std::vector<std::unique_ptr<EventOutlet>>& outlets);

  const ReportingOptions& reporting_;
  const NetworkOptions& network_;
  const std::string deploy_id_ = random_uuid();
  imaging::TransferOptions transfer_;
  ProgressCounters counters_;
  std::atomic<bool> over_ = false;  // the disk is done with; only reporting is left
  std::stop_source hurry_;
  FirstError job_;
};

}  // namespace ingot::agent
