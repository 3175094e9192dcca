/// RequestSource: where this machine's request is asked for.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "agent/http/http_client.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// What the server says about this machine.
struct SourceAnswer {
  enum class Kind {
    request,        ///< 200
    nothing_to_do,  ///< 204: it is installed already, or is to wait for somebody
    not_known,      ///< 404: nobody has an order for it, yet
  };
  Kind kind = Kind::request;
  DeployRequest request{};  ///< `report_url` is absolute, or ""
};

/// One URL, with this machine's identity in it, asked as often as need be.
class RequestSource {
 public:
  /// `url` is http, https or file; `token` a bearer token, or "".
  RequestSource(std::string url, std::string token, const HttpClientOptions& http);
  ~RequestSource();
  RequestSource(const RequestSource&) = delete;
  RequestSource& operator=(const RequestSource&) = delete;

  /// Errors, where asking again may help: controller.unreachable (no connection, 5xx, 408, 425,
  /// 429); where it does not: controller.refused (any other status), usage.manifest (what came is
  /// no request), usage.option (a file that cannot be read); and cancelled. Messages have the URL
  /// redacted, and nothing of a request's values.
  Result<SourceAnswer> ask(const std::stop_token& stop);

  /// What the server said about when to ask again, the last time; at most 10 minutes.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept {
    return retry_after_;
  }
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] bool is_file() const noexcept { return !client_; }

  /// `reference` as it is meant from this URL: "/v1/events", "events", "https://…".
  /// Errors: usage.manifest (no URL that can be reported to).
  [[nodiscard]] Result<std::string> resolve(const std::string& reference) const;

 private:
  [[nodiscard]] Result<SourceAnswer> understand(std::string_view text) const;
  [[nodiscard]] Result<SourceAnswer> understand(const HttpReply& reply) const;

  const std::string url_, token_;
  std::unique_ptr<HttpClient> client_;  // null: a file
  std::optional<std::chrono::milliseconds> retry_after_;
};

}  // namespace ingot::agent
