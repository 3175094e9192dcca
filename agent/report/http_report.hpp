/// HttpReport: events by POST to a controller (`--report-url`), as CloudEvents.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "agent/report/event_outlet.hpp"
#include "agent/report/event_queue.hpp"
#include "agent/report/report_client.hpp"
#include "agent/report/report_options.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Sends events one at a time, in order, each again until a 2xx answers. What may be lost and what
/// not:
///   progress   replaced by newer progress that waits behind it; not repeated in that case
///   others     tried kAttempts times while the job goes on, once more when it is over; so that one
///              that the receiver cannot digest does not block the rest
///   result     tried until `last_patience` is over: at least once, or finish() says why not; kept
///              by `keep_result` before anybody is told, and forgotten when it was delivered, or
///              refused for good
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

  void keep(const Event& terminal) override;
  void push(Event event) override { queue_.push(std::move(event)); }
  std::string finish() override;

 private:
  using Outcome = ReportClient::Outcome;

  void run();
  Outcome deliver(ReportClient& client, const EventQueue::Numbered& next);
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

/// Sends one event that was kept by an earlier run, again and again until it is delivered or
/// `last_patience` is over. True: delivered; false: refused for good, which is no use repeating.
/// Errors: controller.unreachable; cancelled when `hurry` is requested.
Result<bool> deliver_kept(const std::string& cloud_event, const ReportOptions& options);

}  // namespace ingot::agent
