/// AgentControl: how the agent's life ends, decided by a command or by whoever started it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>

namespace ingot::agent {

enum class AgentEnd {
  stopped,      ///< by whoever started it
  powered_off,  ///< or rebooted; with --power exit the process ends
  locked_down,  ///< no server, no heartbeats, no network, until the machine is switched off
  rescued,      ///< no server, no heartbeats: the machine is its user's
};

/// Any thread may end it; one waits. The first end counts.
class AgentControl {
 public:
  void end(AgentEnd how) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return;
      ended_ = true;
      how_ = how;
    }
    changed_.notify_all();
  }

  /// How it ended, if it does within `time`.
  std::optional<AgentEnd> wait(const std::stop_token& stop, std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, time, [this] { return ended_; });
    if (ended_) return how_;
    return stop.stop_requested() ? std::optional(AgentEnd::stopped) : std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool ended_ = false;
  AgentEnd how_ = AgentEnd::stopped;
};

}  // namespace ingot::agent
