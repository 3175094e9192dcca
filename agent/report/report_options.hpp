/// ReportOptions: which controller is told, and how patiently.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

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
  /// Given: is handed the result, as it will be sent, before anybody is told of it.
  std::function<void(const std::string& cloud_event)> keep_result{};
  /// Given: called when the result was delivered, or refused for good: nobody need keep it.
  std::function<void()> forget_result{};
};

}  // namespace ingot::agent
