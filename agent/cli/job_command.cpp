#include "agent/cli/job_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <exception>
#include <utility>

#include "agent/cli/confirmation.hpp"
#include "agent/job/reported_owner.hpp"
#include "agent/osimage/os_image.hpp"
#include "agent/process/exit_code.hpp"
#include "agent/process/secrets.hpp"
#include "agent/process/service_manager.hpp"
#include "agent/process/signal_watch.hpp"
#include "agent/report/http_report.hpp"
#include "agent/report/json_lines.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

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
  ServiceManager manager;  // of a unit that runs this command
  const LogScope scope(deploy_id_);
  JobReporter reporter(counters_,
                       {.bar = bar,
                        .lines = !json,
                        .text_fd = STDERR_FILENO,
                        .sentences = reporting_.progress == ProgressMode::automatic,
                        .status = [&manager](const std::string& text) { manager.status(text); }},
                       std::move(outlets));

  ReportedOwner owner(reporter, [](const std::string& device, const std::stop_token& stop) {
    return ask_for_confirmation(device, STDIN_FILENO, STDERR_FILENO, stop);
  });
  JobResult result =
      ready ? run_work({counters_, owner, job_}) : failed_job(ready.error(), device());
  over_ = true;
  result.progress = reporter.stop();
  if (result.error || !json) say(describe(result), result.error);
  for (const std::string& problem : reporter.finish(result)) say("warning: " + problem);
  return result.error ? exit_code(result.error->cls()) : kExitDone;
}

// What goes wrong before there is a job is told as well.
JobResult JobCommand::run_work(const JobContext& context) {
  try {
    return work(context);
  } catch (const std::exception& error) {
    return failed_job(Error(Errc::internal_bug, std::string("unexpected: ") + error.what(),
                            "report this with what you did"),
                      device());
  }
}

// What the events need as well as the job: credentials from files, and the way to a controller.
Result<void> JobCommand::open_network(std::vector<std::unique_ptr<EventOutlet>>& outlets) {
  INGOT_TRY_ASSIGN(transfer_, transfer_options(network_));
  if (reporting_.report_url.empty()) return {};
  ReportOptions report;
  report.url = reporting_.report_url;
  report.ca_file = transfer_.ca_file;
  report.tls_insecure = transfer_.tls_insecure;
  report.proxy = transfer_.proxy;
  report.no_proxy = transfer_.no_proxy;
  report.hurry = hurry_.get_token();
  if (!reporting_.report_token_file.empty()) {
    INGOT_TRY_ASSIGN(report.token,
                     read_secret(reporting_.report_token_file, "--report-token-file"));
  }
  outlets.push_back(std::make_unique<HttpReport>(std::move(report), deploy_id_));
  return {};
}

// What the manifest says goes into `image`; nothing where none is named.
Result<void> JobCommand::read_manifest(const std::string& file, ImageOptions& image) {
  if (file.empty()) return {};
  INGOT_TRY_ASSIGN(OsImage manifest, load_os_image(file, [](const std::string& warning) {
                     say("warning: " + warning);
                   }));
  if (manifest.checksum.value_or_url.empty() && !image.no_checksum_accepted &&
      !is_image_reference(manifest.url))
    return fail(
        Errc::usage_checksum,
        fmt::format("{} names no checksum: nothing would tell whether the image is right", file),
        "add metal3.vcluster.com/image-checksum to it, or give --insecure-no-checksum");
  image.urls = {std::move(manifest.url)};
  image.checksum = std::move(manifest.checksum);
  return {};
}

}  // namespace ingot::agent
