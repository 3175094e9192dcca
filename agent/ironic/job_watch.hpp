/// JobWatch: the owner of a job that the conductor ordered. It logs how the job goes, and tells
/// how far it is when asked.
#pragma once

#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>

#include "agent/job/job.hpp"
#include "agent/report/progress_view.hpp"

namespace ingot::agent {

/// Nobody sits in front of the agent: the conductor's order is the confirmation, so jobs come with
/// `yes`, and a question is refused.
///
/// Threads  JobOwner's calls as described there; the rest may be called from any.
class JobWatch final : public JobOwner {
 public:
  /// `what` is what the log calls the job: "write_image".
  explicit JobWatch(std::string what);

  void on_started(const JobStart& start) override;
  void on_remark(const std::string& text) override;
  Result<void> confirm(const std::string& device, const std::stop_token& stop) override;
  void on_phase(Phase phase) override;
  void on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) override;
  void on_note(const std::string& text) override;

  [[nodiscard]] ProgressCounters& counters() noexcept { return counters_; }
  /// How far it is now. No number goes back from one call to the next.
  [[nodiscard]] ProgressSnapshot look() const;
  /// The same as an object in JSON: the members of a progress event (docs/events.md).
  [[nodiscard]] std::string json() const;
  /// The same for people: "write_image: write 45 %, 120 MiB/s, 30 s left".
  [[nodiscard]] std::string sentence() const;
  /// The same for people at the machine: "Writing /dev/sda: 45 %, 120 MiB/s, 30 s left".
  [[nodiscard]] std::string status() const;

 private:
  const std::string what_;
  ProgressCounters counters_;
  mutable std::mutex mutex_;
  Phase phase_ = Phase::connect;
  std::string device_;
  bool erase_ = false;
  mutable ProgressView view_;
};

}  // namespace ingot::agent
