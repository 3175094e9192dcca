/// The entrance to every job: a request becomes an outcome, the same way for the command line, for
/// Ironic and for whoever else asks.
#pragma once

#include <stop_token>
#include <string>

#include "agent/job/request.hpp"
#include "agent/report/job_result.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"

namespace ingot::agent {

/// Whoever asked for a job: is told how it goes, and asked before a disk is overwritten.
/// JobListener's calls come from any thread, the others from the one that runs the job.
class JobOwner : public JobListener {
 public:
  /// Everything is decided and the job's clock starts. Comes before all of JobListener's calls.
  virtual void on_started(const JobStart& start) = 0;
  /// Something for people that comes before that: which disk hints chose, what nothing verifies.
  virtual void on_remark(const std::string& text) = 0;
  /// Asked before a block device is overwritten, unless TargetOptions::yes or dry_run answers.
  /// Errors: usage.confirmation, cancelled when `stop` is requested.
  virtual Result<void> confirm(const std::string& device, const std::stop_token& stop) = 0;
};

/// What a job works with. All three outlive it.
struct JobContext {
  ProgressCounters& counters;
  JobOwner& owner;
  FirstError& job;  ///< may be told to stop by anybody at any time
};

/// Runs a job on the caller's thread, and returns when all of its own threads have ended. Never
/// throws: every end is a result, which lacks the numbers of the owner's ProgressView alone.
///
/// Write    choose the disk → config drive → confirm → claim → checksum list → stream → finish →
///          commit. Whatever fails before the claim has touched nothing; a stop before the commit
///          leaves a disk that does not boot, after that it is too late.
/// Verify   open the disk to be read → checksum list → stream, compared as it comes → tables. What
///          is told of a difference is told only after the image was found to be the right one.
/// Erase    confirm → claim → survey → erase → re-read partitions. Whatever fails before the
///          survey's end has touched nothing. A stop is heard between two requests to the disk; an
///          erase that the disk does itself is waited for.
JobResult run_job(const WriteRequest& request, const JobContext& context);
JobResult run_job(const VerifyRequest& request, const JobContext& context);
JobResult run_job(const EraseRequest& request, const JobContext& context);

/// The outcome of a job that could not be begun.
JobResult failed_job(Error error, std::string device);

}  // namespace ingot::agent
