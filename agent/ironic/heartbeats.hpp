/// Heartbeats: tells the conductor that the agent is there, which is what makes it go on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/ironic/ironic_client.hpp"
#include "agent/ironic/node_state.hpp"

namespace ingot::agent {

/// When the next heartbeat is due (ironic-python-agent's agent.py has the same times).
struct HeartbeatTimes {
  double least = 0.3, most = 0.6;  ///< of the timeout that lookup named, after a success
  std::chrono::milliseconds retry_least{5'000}, retry_most{10'000};  ///< after a failure
  std::chrono::milliseconds forced_gap{5'000};  ///< at least, since the last attempt
  /// An attempt asks one API after the other, each for its time-out, and resolves their names.
  std::chrono::milliseconds longest_attempt{300'000};
  std::chrono::milliseconds slack{30'000};  ///< of a machine under load
};

/// Sends the first at once and then goes on until it is destroyed, whatever the API answers.
///
/// Threads  one of its own, which alone uses the client from then on.
class Heartbeats {
 public:
  /// `client` and `node` outlive it. `callback_url` and `certificate` never change during a boot.
  Heartbeats(IronicClient& client, const NodeState& node, std::string callback_url,
             std::string certificate, std::chrono::seconds timeout, HeartbeatTimes times = {});
  ~Heartbeats();
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  /// Sends one soon, and until one succeeded: a command has ended.
  void force();
  void stop();
  /// Whether its thread is where it should be: asleep until the next one is due, or in an attempt
  /// that may still come to its end. For a watchdog; what Ironic answers does not matter.
  [[nodiscard]] bool on_time() const;

 private:
  void run(const std::stop_token& stop);
  bool send(const std::stop_token& stop);

  IronicClient& client_;
  const NodeState& node_;
  const std::string callback_url_, certificate_;
  const std::chrono::seconds timeout_;
  const HeartbeatTimes times_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool forced_ = false;
  std::chrono::steady_clock::time_point latest_;  // when the thread has come further
  bool failing_ = false;                          // the thread's alone; the log is told of changes
  std::jthread thread_;
};

}  // namespace ingot::agent
