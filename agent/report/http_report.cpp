#include "agent/report/http_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "disk/core/jitter.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Grows from one attempt to the next, and no two machines wait equally long.
class BackOff {
 public:
  explicit BackOff(const ReportOptions& options)
      : delay_(options.backoff_first), most_(options.backoff_max) {}

  milliseconds next() {
    const auto now = jittered(delay_);
    delay_ = std::min(delay_ * 2, most_);
    return now;
  }

 private:
  milliseconds delay_;
  const milliseconds most_;
};

}  // namespace

HttpReport::HttpReport(ReportOptions options, std::string deploy_id)
    : options_(std::move(options)), deploy_id_(std::move(deploy_id)) {
  thread_ = std::thread([this] { run(); });
}

HttpReport::~HttpReport() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

bool HttpReport::out_of_time() const {
  return stopped_ || options_.hurry.stop_requested() ||
         Clock::now().time_since_epoch().count() >= deadline_;
}

void HttpReport::keep(const Event& terminal) {
  if (options_.keep_result)
    options_.keep_result(to_cloud_event(terminal, queue_.next_seq(), deploy_id_));
}

void HttpReport::run() {
  constexpr milliseconds kLook{100};  // for stopped_
  ReportClient client(options_, [this] { return out_of_time(); });
  while (!out_of_time()) {
    const auto next = queue_.pop(Clock::now() + kLook);
    if (!next) continue;
    const Outcome outcome = deliver(client, *next);
    last_failure_ = client.last_failure();
    if (next->event.terminal()) {
      result_delivered_ = outcome == Outcome::delivered;
      if (outcome != Outcome::failed && options_.forget_result) options_.forget_result();
      return;
    }
    if (outcome != Outcome::delivered && !next->event.progress()) ++undelivered_;
  }
}

HttpReport::Outcome HttpReport::deliver(ReportClient& client, const EventQueue::Numbered& next) {
  const std::string body = to_cloud_event(next.event, next.seq, deploy_id_);
  BackOff back_off(options_);
  bool over = queue_.closed();
  for (int attempt = 1;; ++attempt) {
    const Outcome outcome = client.post(body);
    if (outcome != Outcome::failed || out_of_time()) return outcome;
    if (!next.event.terminal()) {
      if (over || attempt >= kAttempts) return outcome;
      if (next.event.progress() && queue_.has_newer()) return outcome;
    }
    pause(back_off.next());
    if (!next.event.terminal()) over = queue_.closed();
  }
}

// Waits `delay`, or less when the job is over: the result is not to wait for a back-off that began
// before it.
void HttpReport::pause(milliseconds delay) {
  const auto end = Clock::now() + delay;
  if (!queue_.closed()) {
    while (!stopped_ && !queue_.closed() && Clock::now() < end)
      queue_.wait_for_terminal(std::min(end, Clock::now() + milliseconds(100)));
    return;
  }
  while (!out_of_time() && Clock::now() < end)
    std::this_thread::sleep_for(std::min<Clock::duration>(end - Clock::now(), milliseconds(50)));
}

std::string HttpReport::finish() {
  deadline_ = (Clock::now() + options_.last_patience).time_since_epoch().count();
  if (thread_.joinable()) thread_.join();
  const std::uint64_t missing = undelivered_ + queue_.lost();
  const std::string url = redacted(options_.url);
  if (!result_delivered_)
    return fmt::format("the result was not delivered to {}: {}", url,
                       last_failure_.empty() ? "no time was left" : last_failure_);
  if (missing > 0)
    return fmt::format("{} events before the result were not delivered to {}{}", missing, url,
                       last_failure_.empty() ? "" : ": " + last_failure_);
  return {};
}

Result<bool> deliver_kept(const std::string& cloud_event, const ReportOptions& options) {
  const auto end = Clock::now() + options.last_patience;
  const auto over = [&] { return options.hurry.stop_requested() || Clock::now() >= end; };
  ReportClient client(options, over);
  BackOff back_off(options);
  for (;;) {
    const auto outcome = client.post(cloud_event);
    if (outcome != ReportClient::Outcome::failed)
      return outcome == ReportClient::Outcome::delivered;
    const auto next = std::min<Clock::time_point>(Clock::now() + back_off.next(), end);
    while (!over() && Clock::now() < next) std::this_thread::sleep_for(milliseconds(20));
    const std::string what =
        fmt::format("delivering an earlier result to {}", redacted(options.url));
    if (options.hurry.stop_requested()) return fail(Errc::cancelled, what + ": stopped");
    if (over())
      return fail(Errc::controller_unreachable, fmt::format("{}: {}", what, client.last_failure()));
  }
}

}  // namespace ingot::agent
