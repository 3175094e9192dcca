#include "agent/job/job_run.hpp"

#include <exception>
#include <utility>

#include "agent/process/process.hpp"

namespace ingot::agent {

JobResult JobRun::run() {
  JobResult result;
  try {
    if (auto done = work(result); !done) result.error = job().or_else(done.error());
  } catch (const std::exception& error) {
    // Whatever held the disk has been unwound, which leaves it unbootable.
    result.error = Error(Errc::internal_bug, std::string("unexpected: ") + error.what(),
                         "report this with what you did");
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  result.peak_rss = peak_rss();
  return result;
}

void JobRun::start(const JobStart& what) {
  start_ = Clock::now();
  owner().on_started(what);
}

Error JobRun::stop_for(const Error& error) {
  Error first = job().or_else(error);
  job().report(first);
  return first;
}

Result<void> JobRun::not_stopped() const {
  if (!job().token().stop_requested()) return {};
  return tl::unexpected(job().or_else(Error(Errc::cancelled, "cancelled")));
}

JobResult failed_job(Error error, std::string device) {
  JobResult result;
  result.error = std::move(error);
  result.device = std::move(device);
  result.peak_rss = peak_rss();
  return result;
}

}  // namespace ingot::agent
