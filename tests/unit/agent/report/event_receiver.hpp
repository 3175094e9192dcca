/// A small controller: takes POSTs on a real socket, answers as it was told, remembers what came.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "disk/core/unique_fd.hpp"

namespace ingot::test {

/// Answers each request with the next of `statuses`, and 204 when they are used up. Status 0 closes
/// the connection instead.
class EventReceiver {
 public:
  struct Request {
    std::string head, body;
    int status = 0;
  };

  explicit EventReceiver(std::deque<int> statuses = {}) : statuses_(std::move(statuses)) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~EventReceiver() {
    stopped_ = true;
    thread_.join();
  }

  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/events";
  }
  /// Waits before each answer.
  void slow_down(std::chrono::milliseconds delay) { delay_ = delay.count(); }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Bodies that were answered with 2xx, in order.
  std::vector<std::string> accepted() {
    std::vector<std::string> bodies;
    for (const auto& request : requests())
      if (request.status / 100 == 2) bodies.push_back(request.body);
    return bodies;
  }

 private:
  bool readable(int fd) const {
    while (!stopped_) {
      pollfd ready{fd, POLLIN, 0};
      if (::poll(&ready, 1, 20) == 1) return true;
    }
    return false;
  }

  void serve() {
    while (readable(listener_.get())) {
      const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      while (peer && answer(peer.get())) {
      }
    }
  }

  bool answer(int peer) {
    std::string text;
    std::size_t body = std::string::npos, length = 0;
    while (body == std::string::npos || text.size() < body + length) {
      char part[4096];
      if (!readable(peer)) return false;
      const ssize_t got = ::read(peer, part, sizeof part);
      if (got <= 0) return false;
      text.append(part, static_cast<std::size_t>(got));
      const auto end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      body = end + 4;
      length = std::stoul(text.substr(text.find("Content-Length: ") + 16));
    }
    if (delay_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_));
    const std::lock_guard lock(mutex_);
    int status = 204;
    if (!statuses_.empty()) {
      status = statuses_.front();
      statuses_.pop_front();
    }
    requests_.push_back({text.substr(0, body), text.substr(body), status});
    if (status == 0) return false;
    const std::string reply =
        "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n";
    return ::send(peer, reply.data(), reply.size(), MSG_NOSIGNAL) > 0;
  }

  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> stopped_ = false;
  std::atomic<std::int64_t> delay_ = 0;
  std::mutex mutex_;
  std::deque<int> statuses_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace ingot::test
