/// JsonLines: events on a descriptor, one JSON object a line (`--progress json`).
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "agent/event_outlet.hpp"
#include "agent/event_queue.hpp"

namespace ingot::agent {

/// A reader that goes away, or takes nothing for `patience`, ends the output, not the job.
///
/// Threads  one of its own writes; finish() (or the destructor) joins it.
class JsonLines final : public EventOutlet {
 public:
  /// `fd` stays the caller's.
  JsonLines(int fd, std::string deploy_id, std::chrono::milliseconds patience);
  ~JsonLines() override;

  void push(Event event) override { queue_.push(std::move(event)); }
  std::string finish() override;

 private:
  void run();

  const int fd_;
  const std::string deploy_id_;
  const std::chrono::milliseconds patience_;
  EventQueue queue_;
  std::string problem_;  // the thread's, until it is joined
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

/// Writes all of `text` to `fd`, waiting at most `patience` at a time for room. Works with blocking
/// descriptors as well: a pipe that poll() calls writable takes PIPE_BUF bytes without blocking.
/// Returns 0, or errno (ETIMEDOUT when there was no room).
int write_all(int fd, std::string_view text, std::chrono::milliseconds patience);

}  // namespace ingot::agent
