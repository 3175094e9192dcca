#include "agent/provision/deployment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "agent/job/boot_entries.hpp"
#include "agent/job/reported_owner.hpp"
#include "agent/process/waiting.hpp"
#include "agent/report/http_report.hpp"
#include "agent/report/json_lines.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's
// For the last event once somebody wants this process to end; what is not told by then is kept.
constexpr std::chrono::seconds kStoppedPatience{10};

// An image that no boot entry leads to may still start by the firmware's own rules.
void add_boot_entries(const std::string& device, JobReporter& reporter,
                      const std::stop_token& stop) {
  const auto made = install_boot_entries(device, {}, stop);
  reporter.on_note(made ? "boot entries: " + describe(*made)
                        : fmt::format("the image is on the disk, but the firmware was not told to "
                                      "start it: {} ({})",
                                      made.error().message(), made.error().advice()));
}

}  // namespace

ReportOptions report_options(const ProvisionOptions& options, std::chrono::milliseconds patience,
                             const std::stop_token& hurry) {
  ReportOptions report;
  report.ca_file = options.network.ca_file;
  report.tls_insecure = options.network.tls_insecure;
  report.proxy = options.network.proxy;
  report.no_proxy = options.network.no_proxy;
  report.last_patience = patience;
  report.hurry = hurry;
  return report;
}

Deployment::Deployment(const ProvisionOptions& options, ProvisionStop& stop,
                       const ResultSpool& spool, ReportTarget target)
    : options_(options),
      stop_(stop),
      spool_(spool),
      target_(std::move(target)),
      id_(random_uuid()) {
  kept_.deploy_id = id_;
  kept_.request = target_.request;
  kept_.on_success = name(target_.on_success);
  kept_.report_url = target_.url;
  kept_.report_token = target_.token;
}

void Deployment::keep(const std::string& cloud_event) {
  kept_.cloud_event = cloud_event;
  if (auto done = spool_.keep(kept_); !done)
    say("warning: the result is not kept: " + done.error().message());
}

std::vector<std::unique_ptr<EventOutlet>> Deployment::outlets() {
  std::vector<std::unique_ptr<EventOutlet>> outlets;
  if (options_.json)
    outlets.push_back(std::make_unique<JsonLines>(STDOUT_FILENO, id_, kReaderPatience));
  if (target_.url.empty()) return outlets;
  ReportOptions report =
      report_options(options_, options_.report_patience, stop_.hurry().get_token());
  report.url = target_.url;
  report.token = target_.token;
  report.keep_result = [this](const std::string& cloud_event) { keep(cloud_event); };
  report.forget_result = [this] {
    if (kept_.succeeded)
      keep("");
    else
      spool_.forget(id_);
  };
  outlets.push_back(std::make_unique<HttpReport>(std::move(report), id_));
  return outlets;
}

JobResult Deployment::run(const WriteRequest& request, bool boot_entries) {
  ProgressCounters counters;
  FirstError job;
  const LogScope scope(id_);
  JobReporter reporter(counters,
                       {.bar = options_.bar,
                        .lines = !options_.json,
                        .text_fd = STDERR_FILENO,
                        .sentences = options_.sentences,
                        .status = options_.status},
                       outlets());
  ReportedOwner owner(reporter, options_.confirm);
  stop_.set_writing(true);
  const std::stop_callback stopped(stop_.token(), [&job] {
    job.report(Error(Errc::cancelled, "cancelled: ingot provision was told to stop"));
  });
  JobResult result = run_job(request, {counters, owner, job});
  if (!result.error && boot_entries) add_boot_entries(result.device, reporter, stop_.token());
  stop_.set_writing(false);
  tell(reporter, result);
  return result;
}

void Deployment::fail_with(const Error& error) {
  const ProgressCounters counters;
  const LogScope scope(id_);
  JobReporter reporter(counters, {}, outlets());
  JobResult result = failed_job(error, {});
  tell(reporter, result);
}

void Deployment::tell(JobReporter& reporter, JobResult& result) {
  result.progress = reporter.stop();
  kept_.succeeded = !result.error && !options_.dry_run;
  kept_.device = result.device;
  if (kept_.succeeded && target_.url.empty()) keep("");
  const auto show = [&] {
    if (result.error || !options_.json) say(describe(result, options_.dry_run), result.error);
  };
  // Who wants this process to end is not kept waiting: the next one delivers what is left.
  const std::jthread timer([this](const std::stop_token& over) {
    while (!stop_.token().stop_requested())
      if (!pause(over, std::chrono::milliseconds(100))) return;
    if (pause(over, kStoppedPatience)) stop_.hurry().request_stop();
  });
  for (const std::string& problem : reporter.finish(result, show)) say("warning: " + problem);
}

}  // namespace ingot::agent
