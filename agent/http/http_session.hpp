/// One client's connection to an HttpServer, and what all connections of a server share.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "agent/http/http_server.hpp"
#include "disk/core/unique_fd.hpp"

// Asio's and OpenSSL's headers stay in .cpp files.
struct ssl_ctx_st;
namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace ingot::agent {

/// Outlives the connections that share it.
struct HttpService {
  HttpServerOptions options;
  HttpHandler& handler;
  std::shared_ptr<ssl_ctx_st> tls{};         ///< null: none
  std::atomic<std::size_t> connections{0};   ///< open ones
  std::atomic<std::size_t> queued{0};        ///< requests that wait for the worker or are with it
  std::atomic<bool> large_body_read{false};  ///< somebody sends a body beyond kSmallBody
  std::atomic<bool> stopping{false};         ///< no answer keeps its connection from now on
};

/// Larger bodies are read from one connection at a time.
inline constexpr std::size_t kSmallBody = 1UL << 20;

/// Counts itself in `counter` as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<std::size_t>& counter) : counter_(counter), number_(++counter) {}
  ~Counted() { --counter_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  /// How many there were, with this one, when it came.
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

 private:
  std::atomic<std::size_t>& counter_;
  const std::size_t number_;
};

/// The right to read a large body: one connection has it at a time.
class LargeBodyTurn {
 public:
  explicit LargeBodyTurn(std::atomic<bool>& taken) : taken_(taken) {}
  ~LargeBodyTurn() {
    if (mine_) taken_ = false;
  }
  LargeBodyTurn(const LargeBodyTurn&) = delete;
  LargeBodyTurn& operator=(const LargeBodyTurn&) = delete;

  [[nodiscard]] bool mine() const noexcept { return mine_; }
  /// Whether it is ours from now on, or was.
  bool take() {
    if (!mine_) mine_ = !taken_.exchange(true);
    return mine_;
  }

 private:
  std::atomic<bool>& taken_;
  bool mine_ = false;
};

/// Serves `socket`, a connected and non-blocking one, until either side ends the connection.
/// Returns at once: the rest happens on `io`, and with `worker` for requests with a wanted body.
/// Counts itself in `service.connections`.
void serve_connection(boost::asio::io_context& io, boost::asio::thread_pool& worker,
                      HttpService& service, UniqueFd socket);

}  // namespace ingot::agent
