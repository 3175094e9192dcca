/// HttpServer: HTTP/1.1 over TCP or TLS for a few known clients, safe against any other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// A request, or its header alone. Refers to what the server holds while it is being answered.
struct HttpRequest {
  std::string_view method, target;  ///< the target as sent, query included
  std::string_view body{};
  std::string_view authorization{};  ///< of that field; a secret
  // Further fields, "" where they are not sent.
  std::string_view host{}, origin{}, content_type{}, if_none_match{}, last_event_id{};
};

/// An answer to a request.
struct HttpAnswer {
  unsigned status = 200;
  std::string body{};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields{};  ///< further ones
  std::string location{};                                     ///< of a redirect, else ""
  std::string allow{};                                        ///< of a 405, else ""
  /// If set, the rest is not sent yet: the server asks this, soon at first and then from time to
  /// time, on one of its threads, until it gives the answer. Must not block.
  std::function<std::optional<HttpAnswer>()> later{};
  /// If set, the body goes on: the server asks this for more from time to time, on one of its
  /// threads, and sends what it gives ("": nothing now) until it gives nothing, or the client
  /// leaves. Must not block.
  std::function<std::optional<std::string>()> more{};
};

/// What answers requests. Called from several threads at once.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Whether the body of this request is wanted at all: asked with the header alone, so that a
  /// stranger's body is not read. Must not block.
  [[nodiscard]] virtual bool wants_body(const HttpRequest& header) const = 0;
  /// The answer to a request. Without a wanted body: must not block. With one: called by one thread
  /// at a time, and may take its time.
  virtual HttpAnswer answer(const HttpRequest& request) = 0;
  /// The body of an error that the server itself found (400, 408, 413, 431, 503).
  [[nodiscard]] virtual std::string error_body(unsigned status, std::string_view what) const = 0;
};

/// PEM texts; both empty: no TLS.
struct TlsServerOptions {
  std::string certificate, private_key;  ///< the key is a secret
  std::string min_version = "1.2";       ///< "1.2" or "1.3"
  std::string cipher_suites{};           ///< of TLS 1.2, as OpenSSL lists them; "": ours
};

struct HttpServerOptions {
  std::vector<std::string> addresses{};  ///< IP addresses; "::" takes IPv4 as well
  std::uint16_t port = 0;                ///< 0: any
  TlsServerOptions tls{};
  std::size_t header_limit = 16UL << 10;  ///< bytes
  std::size_t body_limit = 96UL << 20;    ///< bytes; a config drive of 64 MiB as base64 and more
  std::size_t max_connections = 64;       ///< further ones are closed at once
  std::size_t max_queued = 16;  ///< requests with a wanted body at a time; 503 to further ones
  std::size_t max_requests_per_connection = 1000;
  std::chrono::milliseconds header_timeout{10'000};  ///< from the first byte, or the accept
  std::chrono::milliseconds body_timeout{60'000};    ///< whole body
  std::chrono::milliseconds write_timeout{30'000};   ///< whole answer
  std::chrono::milliseconds idle_timeout{60'000};    ///< between requests
};

/// Serves from its construction by start() until it is destroyed.
///
/// Threads  two for connections, one for requests with a body; all joined by the destructor, which
///          waits for a request that is being answered but for no client.
/// Memory   bounded by the options: at most one body at a time is read beyond 1 MiB.
class HttpServer {
 public:
  /// Binds and listens: from then on connections are taken. `handler` outlives the server.
  /// Errors: usage.option (an address or port that cannot be bound, a bad certificate).
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// The port it listens at.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Whether its threads come to what they have to do: those for connections and, with `requests`,
  /// the one for requests with a body, which a slow handler keeps for itself. Each call leaves them
  /// something to do and tells whether they did what the last one left, the first one true: to be
  /// called from time to time, by one thread, for a watchdog.
  [[nodiscard]] bool responds(bool requests = false);
  /// Stops taking connections; those there are may still get their answers.
  void stop_accepting();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::agent
