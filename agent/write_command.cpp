#include "agent/write_command.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

#include "agent/confirmation.hpp"
#include "agent/exit_code.hpp"
#include "agent/http_report.hpp"
#include "agent/job_reporter.hpp"
#include "agent/json_lines.hpp"
#include "agent/network.hpp"
#include "agent/os_image.hpp"
#include "agent/process.hpp"
#include "agent/result_text.hpp"
#include "agent/secrets.hpp"
#include "agent/signal_watch.hpp"
#include "agent/text.hpp"
#include "agent/write_job.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using Outlets = std::vector<std::unique_ptr<EventOutlet>>;
constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's

// One run of the command.
class WriteCommand {
 public:
  explicit WriteCommand(const WriteOptions& options) : options_(options) {}

  int run() {
    // First of all, so that every thread below inherits the blocked signals.
    const SignalWatch signals([this](int signal, int count) {
      job_.report(Error(Errc::cancelled, fmt::format("cancelled by {}", signal_name(signal))));
      // Once the job is over, or for who asks again: nothing but the disk is waited for.
      if (over_ || count > 1) hurry_.request_stop();
      if (!over_ && count > 1) say("already stopping; waiting for the disk");
    });
    const bool json = options_.progress == ProgressMode::json;
    const bool bar = options_.progress == ProgressMode::bar ||
                     (options_.progress == ProgressMode::automatic && ::isatty(STDERR_FILENO) == 1);
    Outlets outlets;
    if (json)
      outlets.push_back(std::make_unique<JsonLines>(STDOUT_FILENO, deploy_id_, kReaderPatience));
    const auto ready = open_network(outlets);
    JobReporter reporter(counters_, {bar, !json, STDERR_FILENO}, std::move(outlets));

    JobResult result;
    if (ready)
      work(reporter, result);
    else
      result.error = ready.error();
    over_ = true;
    result.progress = reporter.stop();
    result.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    result.peak_rss = peak_rss();
    if (result.error || !json)
      for (const std::string& line : describe(result, options_.device, options_.dry_run)) say(line);
    for (const std::string& problem : reporter.finish(result)) say("warning: " + problem);
    return result.error ? exit_code(result.error->cls()) : kExitDone;
  }

 private:
  // What the events need as well as the image: credentials from files, and the way to a controller.
  Result<void> open_network(Outlets& outlets) {
    INGOT_TRY_ASSIGN(transfer_, transfer_options(options_.network));
    if (options_.report_url.empty()) return {};
    ReportOptions report;
    report.url = options_.report_url;
    report.transfer = transfer_;
    report.hurry = hurry_.get_token();
    if (!options_.report_token_file.empty()) {
      INGOT_TRY_ASSIGN(report.token,
                       read_secret(options_.report_token_file, "--report-token-file"));
    }
    outlets.push_back(std::make_unique<HttpReport>(std::move(report), deploy_id_));
    return {};
  }

  void work(JobReporter& reporter, JobResult& result) {
    try {
      if (auto done = try_work(reporter, result); !done) result.error = job_.or_else(done.error());
    } catch (const std::exception& error) {
      // Whatever held the disk has been unwound, which leaves it unbootable.
      result.error = Error(Errc::internal_bug, std::string("writing the image: ") + error.what(),
                           "report this with what you did");
    }
  }

  Result<void> try_work(JobReporter& reporter, JobResult& result) {
    INGOT_TRY_ASSIGN(WriteJobRequest request, make_request());
    warn(request);
    INGOT_TRY(confirm(request));
    start_ = Clock::now();  // the time of the question is the user's
    result.verified = request.image.expected || !request.checksum.value_or_url.empty();
    reporter.started(request.image.urls.front(), options_.device, options_.dry_run);
    WriteJobOutcome outcome = run_write_job(std::move(request), counters_, reporter, job_);
    result.outcome = std::move(outcome.image);
    result.disk = outcome.disk;
    if (outcome.error) return tl::unexpected(*std::move(outcome.error));
    return {};
  }

  Result<WriteJobRequest> make_request() {
    WriteJobRequest request;
    request.image.urls = options_.image_urls;
    imaging::ChecksumRequest checksum = options_.checksum;
    if (!options_.os_image.empty()) {
      INGOT_TRY_ASSIGN(OsImage manifest, load_os_image(options_.os_image));
      request.image.urls = {std::move(manifest.url)};
      checksum = std::move(manifest.checksum);
    }
    if (checksum.value_or_url.empty() && !options_.no_checksum_accepted)
      return fail(Errc::usage_checksum,
                  fmt::format("{} names no checksum: nothing would tell whether the image is right",
                              options_.os_image),
                  "add metal3.vcluster.com/image-checksum to it, or give --insecure-no-checksum");
    if (imaging::is_checksum_url(checksum.value_or_url)) {
      request.checksum = std::move(checksum);
    } else if (!checksum.value_or_url.empty()) {
      INGOT_TRY_ASSIGN(request.image.expected,
                       imaging::parse_checksum(checksum.value_or_url, checksum.type));
    }
    request.image.declared = options_.format;
    request.image.allow_unrecognized = options_.allow_unrecognized;
    request.image.transfer = transfer_;
    INGOT_TRY_ASSIGN(const MemoryBudget budget, split_memory(options_.memory_limit));
    request.image.ring_blocks = budget.ring_blocks;
    request.image.hold_limit = budget.hold_limit;
    request.writer_buffers = budget.writer_buffers;
    request.image.threads = options_.threads > 0 ? options_.threads
                                                 : std::min(std::thread::hardware_concurrency() + 1,
                                                            kMostDefaultThreads);
    request.device = options_.device;
    request.create_size = options_.size;
    request.scratch_dir = options_.scratch_dir;
    request.dry_run = options_.dry_run;
    return request;
  }

  void warn(const WriteJobRequest& request) const {
    const bool checked = request.image.expected || !request.checksum.value_or_url.empty();
    if (!checked && transfer_.tls_insecure)
      say("WARNING: neither the server nor the image is verified (--tls-insecure, "
          "--insecure-no-checksum): anybody on the way can put anything on this disk");
    else if (!checked)
      say("warning: no checksum: nothing tells whether the image is right");
    else if (transfer_.tls_insecure && !request.image.expected)
      say("warning: --tls-insecure: the checksum comes over a connection that nothing verifies, so "
          "it protects against accidents only");
  }

  Result<void> confirm(WriteJobRequest& request) {
    struct stat now {};
    // What is missing is the claim's to report.
    const bool block = ::stat(options_.device.c_str(), &now) == 0 && S_ISBLK(now.st_mode);
    if (!block) return {};
    if (options_.size)
      return fail(Errc::usage_option,
                  fmt::format("--size is for regular files, and {} is a disk", options_.device),
                  "leave it out, or name a file that does not exist yet");
    request.confirmed = now.st_rdev;
    if (options_.yes || options_.dry_run) return {};
    return ask_for_confirmation(options_.device, STDIN_FILENO, STDERR_FILENO, job_.token());
  }

  const WriteOptions& options_;
  Clock::time_point start_ = Clock::now();
  const std::string deploy_id_ = random_uuid();
  imaging::TransferOptions transfer_;
  ProgressCounters counters_;
  std::atomic<bool> over_ = false;  // the disk is done with; only reporting is left
  std::stop_source hurry_;
  FirstError job_;
};

}  // namespace

int run_write(const WriteOptions& options) {
  return WriteCommand(options).run();
}

}  // namespace ingot::agent
