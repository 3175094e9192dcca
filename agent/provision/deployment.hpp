/// Deployment: one run of a request, told to everybody who wants to know.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/job/job.hpp"
#include "agent/job/request.hpp"
#include "agent/provision/provision.hpp"
#include "agent/provision/provision_options.hpp"
#include "agent/report/event_outlet.hpp"
#include "agent/report/job_reporter.hpp"
#include "agent/report/report_options.hpp"
#include "agent/report/result_spool.hpp"

namespace ingot::agent {

/// Whom a run is reported to, and as what.
struct ReportTarget {
  std::string url, token;  ///< "": nobody
  std::string request;     ///< fingerprint of what is done, or ""
  OnSuccess on_success = OnSuccess::none;
};

/// What HttpReport needs beside URL and token, with `patience` for the last event.
[[nodiscard]] ReportOptions report_options(const ProvisionOptions& options,
                                           std::chrono::milliseconds patience,
                                           const std::stop_token& hurry);

/// One run: it has an id, its events have numbers, and its result is kept in the spool from before
/// anybody is told until the controller has it. A success stays there, without anything left to
/// tell, until its owner forgets it: so that a process that is killed before the machine acts does
/// not write the disk once more.
class Deployment {
 public:
  /// Everything outlives it.
  Deployment(const ProvisionOptions& options, ProvisionStop& stop, const ResultSpool& spool,
             ReportTarget target);

  /// Writes the image, and has the firmware start it if `boot_entries` says so. Tells everybody,
  /// and returns when all are told, or as far as that was possible.
  JobResult run(const WriteRequest& request, bool boot_entries);
  /// Tells everybody of a failure that came before there was anything to run.
  void fail_with(const Error& error);

  [[nodiscard]] const std::string& id() const noexcept { return id_; }

 private:
  std::vector<std::unique_ptr<EventOutlet>> outlets();
  void tell(JobReporter& reporter, JobResult& result);
  void keep(const std::string& cloud_event);

  const ProvisionOptions& options_;
  ProvisionStop& stop_;
  const ResultSpool& spool_;
  const ReportTarget target_;
  const std::string id_;
  KeptResult kept_;
};

}  // namespace ingot::agent
