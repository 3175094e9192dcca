/// ServiceManager: what the process that started this one is told of its state (sd_notify(3)).
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace ingot::agent {

/// Tells systemd whether this service is ready, what it does and that it is alive. Where
/// NOTIFY_SOCKET is not set every call does nothing.
///
/// Threads  any; each call is one datagram, sent under a lock. systemd reads them by itself; a
///          socket that takes none is no error, since nobody could be told of it.
/// Secrets  `what` is shown to every user (`systemctl status`): it must hold none. Control
///          characters are replaced, so that no text can be taken for a second assignment.
/// Source   sd_notify(3), sd_watchdog_enabled(3).
class ServiceManager {
 public:
  /// Looks at NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID once.
  ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// Whether anybody listens.
  [[nodiscard]] bool listens() const noexcept { return listens_; }
  /// How long the watchdog waits for alive(); zero: there is none.
  [[nodiscard]] std::chrono::microseconds watchdog() const noexcept { return watchdog_; }

  /// The service does now what it is there for. Once; further calls do nothing.
  void ready();
  /// What it does, for people. Sent when it differs from what was sent last.
  void status(std::string_view what);
  /// A status before ready(), or after stopping(), for a step that may take `at_most`: the time-out
  /// of the start, or the stop, does not come before that is over.
  void status(std::string_view what, std::chrono::seconds at_most);
  /// Feeds the watchdog, three times in its interval at most. To be called by the loop whose end
  /// or standstill is the service's own, and only when everything else that has to be alive is.
  void alive();
  /// The service begins to end. Once.
  void stopping(std::string_view what);

 private:
  void send(const std::string& state) const;

  const bool listens_;
  const std::chrono::microseconds watchdog_;
  std::mutex mutex_;
  bool ready_ = false, stopping_ = false;
  std::string told_;
  std::chrono::steady_clock::time_point fed_{};
};

}  // namespace ingot::agent
