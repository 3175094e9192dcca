/// JobReporter: tells everybody who wants to know how a job is going.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/report/event_outlet.hpp"
#include "agent/report/job_result.hpp"
#include "agent/report/progress_bar.hpp"
#include "agent/report/progress_view.hpp"
#include "disk/core/progress.hpp"

namespace ingot::agent {

/// Turns the job's counters and calls into events, a bar and lines of text.
///
/// Threads  the JobListener calls come from any thread and never wait for a terminal, a pipe or a
///          server: a thread of its own draws, and each outlet has one that delivers.
/// Rate     a bar is drawn at most 10 times a second, progress events are at most 2 a second.
class JobReporter final : public JobListener {
 public:
  struct Options {
    bool bar = false;    ///< draw one on `text_fd`
    bool lines = false;  ///< say retries and notes on `text_fd`
    int text_fd = 2;     ///< stays the caller's
  };

  /// `counters` outlive the reporter.
  JobReporter(const ProgressCounters& counters, Options options,
              std::vector<std::unique_ptr<EventOutlet>> outlets);
  ~JobReporter() override;

  void on_phase(Phase phase) override;
  void on_stall(std::chrono::milliseconds left, bool until_deadline) override;
  void on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) override;
  void on_note(const std::string& text) override;

  /// The first event, before any of the calls above.
  void started(const JobStart& start);
  /// Ends the drawing and returns the last state. Nothing but finish() may follow.
  ProgressSnapshot stop();
  /// The last event. Waits, bounded, until it is delivered; returns what could not be.
  std::vector<std::string> finish(const JobResult& result);

 private:
  void run();
  [[nodiscard]] std::string retry_line(int attempt, const std::string& reason,
                                       std::uint64_t resume_offset);
  void tick(std::unique_lock<std::mutex>& lock, bool last);
  void send(const Event& event);

  const ProgressCounters& counters_;
  const Options options_;
  const bool terminal_;
  const std::vector<std::unique_ptr<EventOutlet>> outlets_;

  std::mutex mutex_;  // everything down to the thread
  std::condition_variable changed_;
  Phase phase_ = Phase::connect;
  bool started_ = false, phase_told_ = false, stopping_ = false;
  std::vector<std::string> lines_;  // to be printed
  std::string stall_;               // what the next retry begins, in words; else ""
  std::string last_reason_;         // of a retry
  ProgressView view_;
  std::chrono::steady_clock::time_point last_progress_;
  ProgressBar bar_;  // the drawing thread's alone
  std::thread thread_;
};

}  // namespace ingot::agent
