/// IronicClient: the agent's side of Ironic's API: version, lookup, heartbeat.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ironic/parameters.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A microversion of the API: 1.68.
struct ApiVersion {
  unsigned major = 1, minor = 0;
  auto operator<=>(const ApiVersion&) const = default;
  /// "1.68".
  [[nodiscard]] std::string text() const;
  static std::optional<ApiVersion> parse(std::string_view text);
};

// What each lets the agent do (ironic/api/controllers/v1/versions.py).
inline constexpr ApiVersion kWithToken{1, 62};
inline constexpr ApiVersion kWithCertificate{1, 68};
inline constexpr ApiVersion kWithStatus{1, 72};

/// What lookup says of the node, and how the agent is to behave.
struct LookupAnswer {
  std::string uuid;
  std::string node;  ///< its record, JSON; may hold secrets
  std::chrono::seconds heartbeat_timeout{300};
  std::string token;            ///< secret; "": none was given
  bool token_withheld = false;  ///< it was given out before
  std::optional<bool> md5_allowed;
  std::optional<std::vector<std::string>> permitted_formats;
  bool skip_bmc_detection = false;
  std::string tls_min_version, tls_cipher_suites;  ///< "": not said
};

/// One heartbeat. Holds the token: never log one.
struct Heartbeat {
  std::string callback_url;
  std::string token;
  std::string certificate;  ///< PEM; "": the conductor has other means to verify the agent
  std::string message;      ///< how far the agent is; "": nothing to say
};

/// Reads lookup's answer. Errors: controller.refused (no UUID, no heartbeat timeout, not JSON).
Result<LookupAnswer> read_lookup_answer(std::string_view body);

/// Why Ironic refused something, out of an error's body, which is JSON in a JSON string, or less;
/// "" if it says nothing.
[[nodiscard]] std::string error_text(std::string_view body);

/// Talks to the API at the first URL that can be reached, and goes on with the one that could.
/// Redirects are not followed: the token is for nobody else. Requests take at most
/// `http_request_timeout`. One thread at a time.
class IronicClient {
 public:
  explicit IronicClient(const AgentOptions& options);
  ~IronicClient();
  IronicClient(const IronicClient&) = delete;
  IronicClient& operator=(const IronicClient&) = delete;

  /// Asks for the newest version of the API; known from then on.
  Result<ApiVersion> discover(const std::stop_token& stop);
  /// With `node_uuid` the MACs do not count.
  Result<LookupAnswer> lookup(const std::vector<std::string>& macs, const std::string& node_uuid,
                              const std::stop_token& stop);
  /// Only 202 is success.
  Result<void> heartbeat(const std::string& node_uuid, const Heartbeat& heartbeat,
                         const std::stop_token& stop);
  /// Inspection's data to one of `urls`, without a version's header; returns the node's UUID or "".
  Result<std::string> continue_inspection(const std::vector<std::string>& urls,
                                          const std::string& body, const std::stop_token& stop);

  /// HTTP status of the last answer; 0: there was none.
  [[nodiscard]] long last_status() const noexcept;
  /// The API's URL that answered last, or the first.
  [[nodiscard]] const std::string& api_url() const noexcept;
  [[nodiscard]] const std::optional<ApiVersion>& version() const noexcept;
  /// TLS as lookup says it, from now on.
  void set_tls(const std::string& min_version, const std::string& cipher_suites);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::agent
