/// JobRun: what every job has, whatever it does: a clock, one way to fail, and a result in any
/// case.
#pragma once

#include <chrono>

#include "agent/job/job.hpp"

namespace ingot::agent {

/// One run of a job; the work itself is the derived class's.
class JobRun {
 public:
  explicit JobRun(const JobContext& context) : context_(context) {}
  JobRun(const JobRun&) = delete;
  JobRun& operator=(const JobRun&) = delete;
  virtual ~JobRun() = default;

  JobResult run();

 protected:
  /// Does it. Calls start() once it is known what is done to what. What it puts into `result` stays
  /// there when it fails; the error is added by the caller.
  virtual Result<void> work(JobResult& result) = 0;

  /// Tells the owner, and starts the result's clock: the time of a question is the user's.
  void start(const JobStart& what);
  /// Stops whatever of the job is still under way because of `error`, and returns the error that
  /// came first.
  Error stop_for(const Error& error);
  /// An error once the job was told to stop.
  [[nodiscard]] Result<void> not_stopped() const;

  [[nodiscard]] JobOwner& owner() const noexcept { return context_.owner; }
  [[nodiscard]] FirstError& job() const noexcept { return context_.job; }
  [[nodiscard]] ProgressCounters& counters() const noexcept { return context_.counters; }

 private:
  using Clock = std::chrono::steady_clock;

  const JobContext context_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace ingot::agent
