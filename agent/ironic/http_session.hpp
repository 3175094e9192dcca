/// One client's connection to an HttpServer, and what all connections of a server share.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "agent/ironic/http_server.hpp"
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
/// More requests for the worker at once are answered with 503.
inline constexpr std::size_t kMaxQueued = 16;

/// Serves `socket`, a connected and non-blocking one, until either side ends the connection.
/// Returns at once: the rest happens on `io`, and with `worker` for requests with a wanted body.
/// Counts itself in `service.connections`.
void serve_connection(boost::asio::io_context& io, boost::asio::thread_pool& worker,
                      HttpService& service, UniqueFd socket);

}  // namespace ingot::agent
