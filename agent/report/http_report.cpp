#include "agent/report/http_report.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t discard(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

bool worth_repeating(long status) {
  return status >= 500 || status == 408 || status == 425 || status == 429;
}

}  // namespace

// One easy handle, so that the connection is reused.
struct HttpReport::Client {
  explicit Client(HttpReport& owner) : report(owner), curl(::curl_easy_init()) {
    add_header("Content-Type: application/cloudevents+json; charset=UTF-8");
    add_header("Expect:");  // no round trip for a body this small
    if (!report.options_.token.empty())
      add_header("Authorization: Bearer " + report.options_.token);
    const ReportOptions& options = report.options_;
    const auto milliseconds = static_cast<long>(report.options_.request_timeout.count());
    set(CURLOPT_URL, report.options_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_POST, 1L);
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_WRITEFUNCTION, &discard);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, milliseconds);
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
    set(CURLOPT_USERAGENT, "ingot/" INGOT_VERSION);
    set(CURLOPT_ERRORBUFFER, message);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFODATA, &report);
    set(CURLOPT_XFERINFOFUNCTION, &Client::on_progress);
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
    if (options.tls_insecure) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!options.proxy.empty()) set(CURLOPT_PROXY, options.proxy.c_str());
    if (!options.no_proxy.empty()) set(CURLOPT_NOPROXY, options.no_proxy.c_str());
  }
  ~Client() {
    ::curl_slist_free_all(headers);
    ::curl_easy_cleanup(curl);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  template <class T>
  void set(CURLoption option, T value) {
    if (curl != nullptr) ::curl_easy_setopt(curl, option, value);
  }
  void add_header(const std::string& line) {
    if (curl_slist* longer = ::curl_slist_append(headers, line.c_str())) headers = longer;
  }

  // Called at least once a second while a request is under way.
  static int on_progress(void* report, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const HttpReport*>(report)->out_of_time() ? 1 : 0;
  }

  Outcome post(const std::string& body) {
    if (curl == nullptr) {
      report.last_failure_ = "no memory";
      return Outcome::failed;
    }
    set(CURLOPT_POSTFIELDS, body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    message[0] = '\0';
    const CURLcode code = ::curl_easy_perform(curl);
    if (code != CURLE_OK) {
      // Ended by us for want of time: what failed before says more.
      if (code != CURLE_ABORTED_BY_CALLBACK || report.last_failure_.empty())
        report.last_failure_ = message[0] != '\0' ? message : ::curl_easy_strerror(code);
      return Outcome::failed;
    }
    long status = 0;
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) return Outcome::delivered;
    report.last_failure_ = fmt::format("the server answered with status {}", status);
    return worth_repeating(status) ? Outcome::failed : Outcome::refused;
  }

  HttpReport& report;
  CURL* const curl;
  curl_slist* headers = nullptr;
  char message[CURL_ERROR_SIZE] = {};
};

HttpReport::HttpReport(ReportOptions options, std::string deploy_id)
    : options_(std::move(options)), deploy_id_(std::move(deploy_id)) {
  // Counted and thread-safe; for the process's life.
  static const CURLcode once = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
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

void HttpReport::run() {
  constexpr std::chrono::milliseconds kLook{100};  // for stopped_
  Client client(*this);
  while (!out_of_time()) {
    const auto next = queue_.pop(Clock::now() + kLook);
    if (!next) continue;
    const bool delivered = deliver(client, *next);
    if (next->event.terminal()) {
      result_delivered_ = delivered;
      return;
    }
    if (!delivered && !next->event.progress()) ++undelivered_;
  }
}

bool HttpReport::deliver(Client& client, const EventQueue::Numbered& next) {
  const std::string body = to_cloud_event(next.event, next.seq, deploy_id_);
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_real_distribution<double> jitter(0.5, 1.0);
  auto delay = options_.backoff_first;
  bool over = queue_.closed();
  for (int attempt = 1;; ++attempt) {
    switch (client.post(body)) {
      case Outcome::delivered:
        return true;
      case Outcome::refused:
        return false;
      case Outcome::failed:
        break;
    }
    if (out_of_time()) return false;
    if (!next.event.terminal()) {
      if (over || attempt >= kAttempts) return false;
      if (next.event.progress() && queue_.has_newer()) return false;
    }
    pause(std::chrono::milliseconds(
        static_cast<std::int64_t>(static_cast<double>(delay.count()) * jitter(random))));
    delay = std::min(delay * 2, options_.backoff_max);
    if (!next.event.terminal()) over = queue_.closed();
  }
}

// Waits `delay`, or less when the job is over: the result is not to wait for a back-off that began
// before it.
void HttpReport::pause(std::chrono::milliseconds delay) {
  const auto end = Clock::now() + delay;
  if (!queue_.closed()) {
    while (!stopped_ && !queue_.closed() && Clock::now() < end)
      queue_.wait_for_terminal(std::min(end, Clock::now() + std::chrono::milliseconds(100)));
    return;
  }
  while (!out_of_time() && Clock::now() < end)
    std::this_thread::sleep_for(
        std::min<Clock::duration>(end - Clock::now(), std::chrono::milliseconds(50)));
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

}  // namespace ingot::agent
