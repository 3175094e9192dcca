/// A client that sends any bytes, over TCP or TLS, and understands as much of HTTP as our answers
/// need.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "disk/core/unique_fd.hpp"

namespace ingot::test {

/// While it lives, this thread gets no SIGPIPE: OpenSSL writes to sockets with write(). Other
/// threads still would: that the server causes none is tested with it.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const timespec now{};
    while (::sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

struct RawAnswer {
  int status = 0;
  std::string head, body;

  [[nodiscard]] std::string field(const std::string& name) const {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, const std::string& address = "127.0.0.1") {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return;
    socket_ = UniqueFd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // Far longer than anything here takes: a test that fails does not hang.
    const timeval patience{30, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    connected_ = ::connect(socket_.get(), found->ai_addr, found->ai_addrlen) == 0;
    ::freeaddrinfo(found);
  }

  /// Whether the handshake succeeds, with these versions and, if it is given, only with that
  /// certificate for that IP address.
  bool start_tls(int least, int most, const std::string& certificate = {},
                 const std::string& address = {}) {
    const std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(
        ::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free);
    ::SSL_CTX_set_min_proto_version(context.get(), least);
    ::SSL_CTX_set_max_proto_version(context.get(), most);
    if (!certificate.empty()) {
      BIO* source = ::BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
      X509* trusted = ::PEM_read_bio_X509(source, nullptr, nullptr, nullptr);
      ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context.get()), trusted);
      ::X509_free(trusted);
      ::BIO_free(source);
      ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
      ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_CTX_get0_param(context.get()), address.c_str());
    }
    tls_.reset(::SSL_new(context.get()));
    ::SSL_set_fd(tls_.get(), socket_.get());
    const WithoutSigpipe guard;
    const bool done = ::SSL_connect(tls_.get()) == 1;
    ::ERR_clear_error();
    if (!done) tls_.reset();
    return done;
  }
  [[nodiscard]] SSL* tls() const { return tls_.get(); }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return socket_.get(); }

  /// Whether the system took all of it.
  bool send(std::string_view text) {
    const WithoutSigpipe guard;
    while (!text.empty()) {
      const long sent = tls_ ? ::SSL_write(tls_.get(), text.data(), static_cast<int>(text.size()))
                             : ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end_sending() { ::shutdown(socket_.get(), SHUT_WR); }
  /// The connection is reset instead of ended.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    tls_.reset();
    socket_.reset();
  }

  /// The next answer; nothing if the connection ended before it was complete.
  std::optional<RawAnswer> receive(bool headless = false) {
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos)
      if (!read_more()) return std::nullopt;
    RawAnswer answer;
    answer.head = received_.substr(0, end + 2);
    if (answer.head.rfind("HTTP/1.1 ", 0) != 0) return std::nullopt;
    answer.status = std::atoi(answer.head.c_str() + 9);
    const auto size = std::strtoul(answer.field("Content-Length").c_str(), nullptr, 10);
    const std::size_t whole = end + 4 + (headless ? 0 : size);
    while (received_.size() < whole)
      if (!read_more()) return std::nullopt;
    answer.body = received_.substr(end + 4, whole - end - 4);
    received_.erase(0, whole);
    return answer;
  }
  std::optional<RawAnswer> ask(std::string_view request) {
    send(request);
    return receive();
  }
  /// Whether the server ends the connection, with nothing more to read.
  bool ended() {
    if (!received_.empty()) return false;
    return !read_more() && !timed_out_;
  }
  [[nodiscard]] bool readable(std::chrono::milliseconds patience) const {
    pollfd state{socket_.get(), POLLIN, 0};
    return ::poll(&state, 1, static_cast<int>(patience.count())) == 1;
  }

 private:
  bool read_more() {
    const WithoutSigpipe guard;
    char chunk[16384];
    const long count = tls_ ? ::SSL_read(tls_.get(), chunk, sizeof chunk)
                            : ::recv(socket_.get(), chunk, sizeof chunk, 0);
    if (count > 0) {
      received_.append(chunk, static_cast<std::size_t>(count));
      return true;
    }
    timed_out_ = count < 0 && errno == EAGAIN;
    return false;
  }

  struct FreeTls {
    void operator()(SSL* tls) const { ::SSL_free(tls); }
  };
  UniqueFd socket_;
  std::unique_ptr<SSL, FreeTls> tls_;
  std::string received_;
  bool connected_ = false;
  bool timed_out_ = false;
};

}  // namespace ingot::test
