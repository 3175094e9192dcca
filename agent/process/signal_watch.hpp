/// SignalWatch: SIGINT, SIGTERM and SIGHUP as calls on a thread, not in the middle of something.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {

/// While it lives, these signals end nothing; each is told to `on_signal(signal, how many so far)`,
/// which runs on the watch's own thread. A signal that is ignored (SIGHUP under nohup) stays so.
///
/// To be constructed before any other thread is started: they inherit the blocked signals.
class SignalWatch {
 public:
  explicit SignalWatch(std::function<void(int signal, int count)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void run();

  const std::function<void(int, int)> on_signal_;
  sigset_t watched_{}, before_{};
  UniqueFd signals_, stop_;
  std::thread thread_;
};

/// "SIGINT", "SIGTERM", "SIGHUP".
const char* signal_name(int signal) noexcept;

}  // namespace ingot::agent
