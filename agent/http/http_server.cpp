#include "agent/http/http_server.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <exception>
#include <list>
#include <thread>
#include <utility>

#include "agent/http/http_session.hpp"
#include "agent/http/tls_context.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace asio = boost::asio;

constexpr int kThreads = 2;

std::uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

// A listening socket at an IP address, which may have a scope ("fe80::1%eth0").
Result<UniqueFd> listen_at(const std::string& address, std::uint16_t port) {
  const std::string what = "listening at '" + address + "', port " + std::to_string(port);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return fail(Errc::usage_option, what + ": this is no IP address");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);

  UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const int off = 0;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      // "::" takes IPv4 as well, whatever the system's default is.
      (found->ai_family == AF_INET6 &&
       ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    return tl::unexpected<Error>(
        system_error(Errc::usage_option, what, errno,
                     "end what listens there, or choose another address or port"));
  return socket;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, HttpHandler& handler)
      : service_{.options = std::move(options), .handler = handler} {}

  ~Impl() {
    stop_accepting();
    worker_.stop();
    io_.stop();
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
    worker_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> prepare() {
    TlsServerOptions& tls = service_.options.tls;
    if (!tls.certificate.empty() || !tls.private_key.empty()) {
      INGOT_TRY_ASSIGN(service_.tls, make_tls_context(tls));
      ::OPENSSL_cleanse(tls.private_key.data(), tls.private_key.size());
      tls.private_key.clear();
    }
    port_ = service_.options.port;
    if (service_.options.addresses.empty())
      return fail(Errc::usage_option, "no address to listen at");
    for (const auto& address : service_.options.addresses) {
      INGOT_TRY_ASSIGN(UniqueFd socket, listen_at(address, port_));
      if (port_ == 0) port_ = port_of(socket.get());
      listeners_.emplace_back(io_, socket.release());
    }
    return {};
  }

  void run() {
    const auto one_at_a_time = asio::make_strand(io_);  // so that they count connections right
    for (auto& listener : listeners_)
      asio::co_spawn(one_at_a_time, accept_from(listener), asio::detached);
    for (auto& thread : threads_)
      thread = std::thread([this] {
        while (!io_.stopped()) {
          try {
            io_.run();
          } catch (const std::exception&) {
            // Out of memory, and the connection that asked for it is gone: the others go on.
          }
        }
      });
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  bool responds(bool requests) {
    const bool connections = connections_probe_.answered(io_);
    return (!requests || requests_probe_.answered(worker_)) && connections;
  }

  void stop_accepting() {
    if (service_.stopping.exchange(true)) return;
    // Wakes accept_from(); the descriptors live as long as this.
    for (auto& listener : listeners_) ::shutdown(listener.native_handle(), SHUT_RDWR);
  }

 private:
  // One handler at a time that waits in a queue of handlers.
  class Probe {
   public:
    template <class Executor>
    bool answered(Executor& queue) {
      if (waiting_.exchange(true)) return false;
      asio::post(queue, [this] { waiting_ = false; });
      return true;
    }

   private:
    std::atomic<bool> waiting_ = false;
  };

  asio::awaitable<void> accept_from(asio::posix::stream_descriptor& listener) {
    constexpr auto kResult = asio::as_tuple(asio::use_awaitable);
    asio::steady_timer pause(io_);
    while (!service_.stopping) {
      const int socket =
          ::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket >= 0) {
        UniqueFd client(socket);
        if (service_.connections >= service_.options.max_connections) continue;
        try {
          serve_connection(io_, worker_, service_, std::move(client));
        } catch (const std::exception&) {
          // No memory for this one.
        }
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        const auto [failed] =
            co_await listener.async_wait(asio::posix::stream_descriptor::wait_read, kResult);
        if (failed) co_return;
      } else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
        // No descriptors or no memory left: later there may be.
        pause.expires_after(std::chrono::milliseconds(100));
        co_await pause.async_wait(kResult);
      }
    }
  }

  HttpService service_;
  std::uint16_t port_ = 0;
  Probe connections_probe_, requests_probe_;
  // In this order: what is left in the worker's queue holds connections, which need `io_`.
  asio::io_context io_{kThreads};
  asio::thread_pool worker_{1};
  std::list<asio::posix::stream_descriptor> listeners_;
  std::array<std::thread, kThreads> threads_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                      HttpHandler& handler) {
  auto impl = std::make_unique<Impl>(std::move(options), handler);
  INGOT_TRY(impl->prepare());
  impl->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const noexcept {
  return impl_->port();
}

bool HttpServer::responds(bool requests) {
  return impl_->responds(requests);
}

void HttpServer::stop_accepting() {
  impl_->stop_accepting();
}

}  // namespace ingot::agent
