/// HttpClient: small requests to a server, whole answers (libcurl).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

struct HttpClientOptions {
  std::string ca_file;                            ///< PEM; "": the system's
  std::string ca_pem;                             ///< the same as text, instead of the file
  bool only_these_cas = false;                    ///< the system's are not trusted beside them
  bool tls_insecure = false;                      ///< servers are not verified
  std::string min_tls_version;                    ///< "1.2", "1.3"; "": 1.2
  std::string cipher_suites;                      ///< of TLS 1.2; "": OpenSSL's
  std::string client_cert_file, client_key_file;  ///< PEM; both or neither
  std::string client_cert_pem, client_key_pem;    ///< the same as text; the key is a secret
  /// The name that the server's certificate is to have, where it is not that of the URL, which
  /// stays the one that is connected to. "": the URL's.
  std::string tls_server_name;
  std::string proxy, no_proxy;                ///< "": the environment's
  std::chrono::milliseconds timeout{30'000};  ///< of connecting, and of a whole exchange
  /// Of a body that is handed over as it comes, from byte to byte; 0: `timeout`. A peer that is
  /// gone without a word is noticed by TCP before.
  std::chrono::milliseconds idle_timeout{0};
  std::size_t answer_limit = 4UL << 20;  ///< bytes of a body
};

struct HttpExchange {
  std::string url;
  std::optional<std::string> body{};   ///< given: POST
  std::vector<std::string> headers{};  ///< "Accept: application/json"; may hold secrets
  /// Given: is handed the body as it comes instead of the answer, without a limit; false ends the
  /// exchange. `idle_timeout` then counts from the last byte.
  std::function<bool(std::string_view)> on_data{};
  /// Given: asked at least once a second; true ends the exchange, as a requested stop does.
  std::function<bool()> give_up{};
};

struct HttpReply {
  long status = 0;
  std::string body;
  std::string content_type;
  std::optional<std::chrono::seconds> retry_after;
};

/// Whether another try may be answered otherwise though nothing is changed: 408, 425, 429, and what
/// a server or proxy says of its own trouble (5xx but 501 and 505).
[[nodiscard]] bool is_temporary(long status) noexcept;

/// Keeps its connections. http and https only; redirects are not followed, since credentials are
/// for nobody else. One thread at a time.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The answer, whatever its status. Errors: controller.unreachable, with the URL redacted and
  /// libcurl's words; cancelled when `stop` is requested.
  Result<HttpReply> exchange(const HttpExchange& what, const std::stop_token& stop);

  /// Why the last exchange gave no answer, in libcurl's words and without the URL; "" if it gave
  /// one, or was ended by whoever asked.
  [[nodiscard]] const std::string& last_problem() const noexcept;

  /// From now on.
  void set_tls(const std::string& min_version, const std::string& cipher_suites);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::agent
