#include "agent/job_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <exception>

#include "agent/exit_code.hpp"
#include "agent/http_report.hpp"
#include "agent/json_lines.hpp"
#include "agent/network.hpp"
#include "agent/process.hpp"
#include "agent/secrets.hpp"
#include "agent/signal_watch.hpp"
#include "agent/text.hpp"

namespace ingot::agent {
namespace {

constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's

}  // namespace

JobCommand::JobCommand(const ReportingOptions& reporting, const NetworkOptions& network)
    : reporting_(reporting), network_(network) {}

int JobCommand::run() {
  // First of all, so that every thread below inherits the blocked signals.
  const SignalWatch signals([this](int signal, int count) {
    job_.report(Error(Errc::cancelled, fmt::format("cancelled by {}", signal_name(signal))));
    // Once the job is over, or for who asks again: nothing but the disk is waited for.
    if (over_ || count > 1) hurry_.request_stop();
    if (!over_ && count > 1) say("already stopping; waiting for the disk");
  });
  const bool json = reporting_.progress == ProgressMode::json;
  const bool bar = reporting_.progress == ProgressMode::bar ||
                   (reporting_.progress == ProgressMode::automatic && ::isatty(STDERR_FILENO) == 1);
  std::vector<std::unique_ptr<EventOutlet>> outlets;
  if (json)
    outlets.push_back(std::make_unique<JsonLines>(STDOUT_FILENO, deploy_id_, kReaderPatience));
  const auto ready = open_network(outlets);
  JobReporter reporter(counters_, {bar, !json, STDERR_FILENO}, std::move(outlets));

  JobResult result;
  if (ready)
    try_work(reporter, result);
  else
    result.error = ready.error();
  over_ = true;
  result.progress = reporter.stop();
  result.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  result.peak_rss = peak_rss();
  if (result.error || !json)
    for (const std::string& line : describe(result)) say(line);
  for (const std::string& problem : reporter.finish(result)) say("warning: " + problem);
  return result.error ? exit_code(result.error->cls()) : kExitDone;
}

// What the events need as well as the job: credentials from files, and the way to a controller.
Result<void> JobCommand::open_network(std::vector<std::unique_ptr<EventOutlet>>& outlets) {
  INGOT_TRY_ASSIGN(transfer_, transfer_options(network_));
  if (reporting_.report_url.empty()) return {};
  ReportOptions report;
  report.url = reporting_.report_url;
  report.transfer = transfer_;
  report.hurry = hurry_.get_token();
  if (!reporting_.report_token_file.empty()) {
    INGOT_TRY_ASSIGN(report.token,
                     read_secret(reporting_.report_token_file, "--report-token-file"));
  }
  outlets.push_back(std::make_unique<HttpReport>(std::move(report), deploy_id_));
  return {};
}

void JobCommand::try_work(JobReporter& reporter, JobResult& result) {
  try {
    if (auto done = work(reporter, result); !done) result.error = job_.or_else(done.error());
  } catch (const std::exception& error) {
    // Whatever held the disk has been unwound, which leaves it unbootable.
    result.error = Error(Errc::internal_bug, std::string("unexpected: ") + error.what(),
                         "report this with what you did");
  }
}

}  // namespace ingot::agent
