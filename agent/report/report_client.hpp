/// ReportClient: one event by POST to a controller.
#pragma once

#include <functional>
#include <string>

#include "agent/http/http_client.hpp"
#include "agent/report/report_options.hpp"

namespace ingot::agent {

/// Keeps its connection. Redirects are not followed. One thread at a time.
class ReportClient {
 public:
  enum class Outcome {
    delivered,  ///< 2xx
    refused,    ///< an answer that will be no other one next time
    failed,     ///< worth repeating: no connection, 5xx, 408, 425, 429
  };

  /// `out_of_time` is asked from time to time while a request is under way: true ends it.
  ReportClient(const ReportOptions& options, std::function<bool()> out_of_time);

  Outcome post(const std::string& cloud_event);
  /// Why the last one was not delivered, in words; "" if none failed.
  [[nodiscard]] const std::string& last_failure() const noexcept { return last_failure_; }

 private:
  HttpClient client_;
  HttpExchange exchange_;
  std::string last_failure_;
};

}  // namespace ingot::agent
