/// EventQueue: events on their way to somebody who may be slow, or gone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "agent/report/event.hpp"

namespace ingot::agent {

/// Keeps events in order for one consumer. A producer never waits: progress that nobody took yet is
/// replaced by newer progress, and a full queue loses its oldest progress, or else its oldest
/// event; never for the terminal one, which always has room, and after which nothing is taken in.
///
/// Numbers  are given when an event is taken out, so that what the consumer gets has no gaps.
/// Threads  any number of producers, one consumer.
class EventQueue {
 public:
  struct Numbered {
    Event event;
    std::uint64_t seq = 0;
  };

  static constexpr std::size_t kCapacity = 256;

  void push(Event event) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      closed_ = event.terminal();
      if (event.progress() && !events_.empty() && events_.back().progress())
        events_.pop_back();
      else if (events_.size() + 1 >= kCapacity && !event.terminal())
        lose_one();
      events_.push_back(std::move(event));
    }
    changed_.notify_all();
  }

  /// The number that the next event will have, if it is the terminal one and no other comes before
  /// it: what waits has its numbers already.
  [[nodiscard]] std::uint64_t next_seq() const {
    const std::lock_guard lock(mutex_);
    return next_seq_ + events_.size();
  }

  /// The oldest event, waiting for one until `deadline`.
  std::optional<Numbered> pop(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline, [this] { return !events_.empty(); }))
      return std::nullopt;
    Numbered next{std::move(events_.front()), next_seq_++};
    events_.pop_front();
    return next;
  }

  /// Waits until `deadline`, but not longer than until the terminal event has come.
  void wait_for_terminal(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return closed_; });
  }

  /// Whether the terminal event was pushed.
  [[nodiscard]] bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  /// Whether newer progress waits, which makes older progress pointless.
  [[nodiscard]] bool has_newer() const {
    const std::lock_guard lock(mutex_);
    return !events_.empty();
  }
  /// Events other than progress that were lost because the queue was full.
  [[nodiscard]] std::uint64_t lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

 private:
  void lose_one() {
    for (auto event = events_.begin(); event != events_.end(); ++event)
      if (event->progress()) {
        events_.erase(event);
        return;
      }
    events_.pop_front();
    ++lost_;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  bool closed_ = false;
  std::uint64_t next_seq_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace ingot::agent
