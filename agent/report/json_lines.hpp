/// JsonLines: events on a descriptor, one JSON object a line (`--progress json`).
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "agent/report/event_outlet.hpp"
#include "agent/report/event_queue.hpp"

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

}  // namespace ingot::agent
