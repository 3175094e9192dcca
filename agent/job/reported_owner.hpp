/// ReportedOwner: the owner of a job that a JobReporter tells of.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "agent/job/job.hpp"
#include "agent/report/job_reporter.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {

/// Passes on what the job tells; `confirm` is asked before a disk is overwritten.
class ReportedOwner final : public JobOwner {
 public:
  using Confirm = std::function<Result<void>(const std::string& device, const std::stop_token&)>;

  /// `reporter` outlives the owner.
  ReportedOwner(JobReporter& reporter, Confirm confirm)
      : reporter_(reporter), confirm_(std::move(confirm)) {}

  void on_started(const JobStart& start) override { reporter_.started(start); }
  void on_remark(const std::string& text) override { say(text); }
  Result<void> confirm(const std::string& device, const std::stop_token& stop) override {
    return confirm_(device, stop);
  }
  void on_phase(Phase phase) override { reporter_.on_phase(phase); }
  void on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) override {
    reporter_.on_retry(attempt, reason, resume_offset);
  }
  void on_stall(std::chrono::milliseconds left, bool until_deadline) override {
    reporter_.on_stall(left, until_deadline);
  }
  void on_note(const std::string& text) override { reporter_.on_note(text); }

 private:
  JobReporter& reporter_;
  const Confirm confirm_;
};

}  // namespace ingot::agent
