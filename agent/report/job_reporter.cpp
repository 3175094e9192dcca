#include "agent/report/job_reporter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "agent/text/quantity.hpp"
#include "agent/text/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTick{100};
constexpr std::chrono::milliseconds kProgressEvery{500};
constexpr std::chrono::seconds kStatusEvery{1}, kSayEvery{10};
constexpr std::size_t kMostLines = 100;  // waiting for a terminal that takes none

}  // namespace

JobReporter::JobReporter(const ProgressCounters& counters, Options options,
                         std::vector<std::unique_ptr<EventOutlet>> outlets)
    : counters_(counters),
      options_(options),
      terminal_(::isatty(options.text_fd) == 1),
      journal_(options.text_fd == STDERR_FILENO && !options.bar && logs_to_journal()),
      sentences_(journal_ && options.sentences),
      outlets_(std::move(outlets)),
      bar_(options.text_fd),
      thread_([this] { run(); }) {}

JobReporter::~JobReporter() {
  stop();
}

void JobReporter::started(const JobStart& start) {
  const std::lock_guard lock(mutex_);
  started_ = true;
  device_ = start.device;
  erase_ = !start.erase_method.empty();
  send(started_event(start));
}

void JobReporter::on_phase(Phase phase) {
  const std::lock_guard lock(mutex_);
  if (phase_told_ && phase <= phase_) return;
  phase_told_ = true;
  phase_ = phase;
  set_log_phase(name(phase));
  send(phase_event(phase));
}

void JobReporter::on_stall(std::chrono::milliseconds left, bool until_deadline) {
  const std::lock_guard lock(mutex_);
  stall_ = fmt::format("trying again for {}{}", format_duration(left),
                       until_deadline ? " (--retry-deadline)" : ", if the network is coming up");
}

void JobReporter::on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) {
  const std::lock_guard lock(mutex_);
  if (options_.lines && lines_.size() < kMostLines)
    lines_.push_back(retry_line(attempt, reason, resume_offset));
  send(retry_event(attempt, reason, resume_offset));
}

// On a terminal somebody waits: once what for and how long, and nothing twice.
std::string JobReporter::retry_line(int attempt, const std::string& reason,
                                    std::uint64_t resume_offset) {
  const std::string stall = std::exchange(stall_, "");
  const bool same = reason == std::exchange(last_reason_, reason);
  if (terminal_ && !stall.empty())
    return fmt::format("waiting: {}; {}; Ctrl-C stops", printable(reason), stall);
  return fmt::format("retry {} from {}: {}", attempt, format_bytes(resume_offset),
                     terminal_ && same ? "as before" : printable(reason));
}

void JobReporter::on_note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (options_.lines && lines_.size() < kMostLines) lines_.push_back(printable(text));
  send(note_event(text));
}

void JobReporter::send(const Event& event) {
  for (const auto& outlet : outlets_) outlet->push(event);
}

void JobReporter::run() {
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    changed_.wait_for(lock, kTick, [this] { return stopping_; });
    last = stopping_;
    tick(lock, last);
  }
}

// Draws with the lock released: a stopped terminal must not stop the job.
void JobReporter::tick(std::unique_lock<std::mutex>& lock, bool last) {
  const auto now = Clock::now();
  // Not before the job goes on: the time of a question does not count in any rate.
  const ProgressSnapshot progress =
      phase_told_ ? view_.look(counters_, phase_, now) : ProgressSnapshot{};
  if (started_ && phase_told_ && !last && now - last_progress_ >= kProgressEvery) {
    last_progress_ = now;
    send(progress_event(progress));
  }
  const bool draw = options_.bar && phase_told_;
  const bool status = phase_told_ && (options_.status || sentences_);
  const std::string text = status ? sentence(progress, device_, erase_) : std::string();
  const auto lines = std::exchange(lines_, {});
  lock.unlock();
  for (const std::string& line : lines) print(line);
  if (draw) bar_.draw(progress, now);
  if (status) tell_status(text, progress.phase, now);
  if (last) bar_.finish();
  lock.lock();
}

void JobReporter::print(const std::string& line) {
  if (journal_)
    say(line);
  else
    bar_.print("ingot: " + line);
}

// For who sees no bar: the service manager's status, and whoever follows the journal or a console.
void JobReporter::tell_status(const std::string& text, Phase phase, RateMeter::Time now) {
  const bool next_phase = status_phase_ != phase;
  status_phase_ = phase;
  if (options_.status && (next_phase || now - status_told_ >= kStatusEvery)) {
    status_told_ = now;
    options_.status(text);
  }
  if (sentences_ && (next_phase || now - status_said_ >= kSayEvery)) {
    status_said_ = now;
    say(text);
  }
}

ProgressSnapshot JobReporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  return view_.look(counters_, phase_, Clock::now());
}

std::vector<std::string> JobReporter::finish(const JobResult& result,
                                             const std::function<void()>& kept) {
  {
    const std::lock_guard lock(mutex_);
    const Event terminal = result_event(result);
    for (const auto& outlet : outlets_) outlet->keep(terminal);
    if (kept) kept();
    send(terminal);
  }
  std::vector<std::string> problems;
  for (const auto& outlet : outlets_)
    if (std::string problem = outlet->finish(); !problem.empty())
      problems.push_back(std::move(problem));
  return problems;
}

}  // namespace ingot::agent
