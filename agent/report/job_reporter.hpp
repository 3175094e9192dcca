/// JobReporter: tells everybody who wants to know how a job is going.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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
    bool lines = false;  ///< say retries and notes on `text_fd`, or in the journal if that is there
    int text_fd = 2;     ///< stays the caller's
    /// Where that is the journal, and there is no bar: say how far the job is, in one sentence at
    /// each new phase and every 10 seconds.
    bool sentences = false;
    /// How far the job is in one sentence, at most once a second and at each new phase; or empty.
    std::function<void(const std::string&)> status{};
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
  /// The last event. Waits, bounded, until it is delivered; returns what could not be. `kept`, if
  /// given, is called as soon as no outlet can lose it any more, and before anybody gets it.
  std::vector<std::string> finish(const JobResult& result, const std::function<void()>& kept = {});

 private:
  void run();
  [[nodiscard]] std::string retry_line(int attempt, const std::string& reason,
                                       std::uint64_t resume_offset);
  void tick(std::unique_lock<std::mutex>& lock, bool last);
  void send(const Event& event);
  void print(const std::string& line);
  void tell_status(const std::string& text, Phase phase, RateMeter::Time now);

  const ProgressCounters& counters_;
  const Options options_;
  const bool terminal_, journal_, sentences_;
  const std::vector<std::unique_ptr<EventOutlet>> outlets_;

  std::mutex mutex_;  // everything down to the thread
  std::condition_variable changed_;
  Phase phase_ = Phase::connect;
  bool started_ = false, phase_told_ = false, stopping_ = false, erase_ = false;
  std::string device_;
  std::vector<std::string> lines_;  // to be printed
  std::string stall_;               // what the next retry begins, in words; else ""
  std::string last_reason_;         // of a retry
  ProgressView view_;
  std::chrono::steady_clock::time_point last_progress_;
  // Down to the thread, the drawing thread's alone.
  ProgressBar bar_;
  std::optional<Phase> status_phase_;
  RateMeter::Time status_told_, status_said_;
  std::thread thread_;
};

}  // namespace ingot::agent
