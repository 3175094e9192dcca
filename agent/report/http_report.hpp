/// HttpReport: events by POST to a controller (`--report-url`), as CloudEvents.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/report/event_outlet.hpp"
#include "agent/report/event_queue.hpp"

namespace ingot::agent {

struct ReportOptions {
  std::string url;
  std::string token;          ///< bearer token, or ""
  std::string ca_file;        ///< PEM bundle; "": the system's
  bool tls_insecure = false;  ///< do not verify the controller
  std::string proxy;          ///< "": the environment's
  std::string no_proxy;       ///< "": the environment's
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds backoff_first{250}, backoff_max{8'000};  ///< doubles, with jitter
  std::chrono::milliseconds last_patience{30'000};  ///< for all that is left, once the job is over
  std::stop_token hurry;  ///< requested: somebody does not want to wait for that
};

/// Sends events one at a time, in order, each again until a 2xx answers. What may be lost and what
/// not:
///   progress   replaced by newer progress that waits behind it; not repeated in that case
///   others     tried kAttempts times while the job goes on, once more when it is over; so that one
///              that the receiver cannot digest does not block the rest
///   result     tried until `last_patience` is over: at least once, or finish() says why not
/// A 4xx other than 408, 425 and 429 is final for that event. Redirects are not followed.
///
/// Threads  one of its own; finish() (or the destructor) joins it. No proxy, server or name lookup
///          delays the job itself.
/// Memory   EventQueue's 256 events.
class HttpReport final : public EventOutlet {
 public:
  static constexpr int kAttempts = 6;

  HttpReport(ReportOptions options, std::string deploy_id);
  ~HttpReport() override;

  void push(Event event) override { queue_.push(std::move(event)); }
  std::string finish() override;

 private:
  struct Client;
  enum class Outcome { delivered, refused, failed };

  void run();
  bool deliver(Client& client, const EventQueue::Numbered& next);
  void pause(std::chrono::milliseconds delay);
  [[nodiscard]] bool out_of_time() const;

  const ReportOptions options_;
  const std::string deploy_id_;
  EventQueue queue_;
  std::atomic<bool> stopped_ = false;
  std::atomic<std::int64_t> deadline_ = INT64_MAX;  // steady_clock ticks; set by finish()
  // The thread's, until it is joined.
  std::string last_failure_;
  std::uint64_t undelivered_ = 0;
  bool result_delivered_ = false;
  std::thread thread_;
};

}  // namespace ingot::agent
