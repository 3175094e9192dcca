// A server that keeps the heads of requests as they were sent: which fields a client names.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "disk/core/unique_fd.hpp"

namespace ingot::test {

/// Answers every request with the same bytes and ends the connection.
class HeadReceiver {
 public:
  explicit HeadReceiver(std::string answer) : answer_(std::move(answer)) {
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
  ~HeadReceiver() {
    stopped_ = true;
    thread_.join();
  }
  HeadReceiver(const HeadReceiver&) = delete;
  HeadReceiver& operator=(const HeadReceiver&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
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
      std::string text;
      std::size_t head = std::string::npos, whole = 0;
      while (head == std::string::npos || text.size() < whole) {
        char part[4096];
        if (!readable(peer.get())) return;
        const ssize_t got = ::read(peer.get(), part, sizeof part);
        if (got <= 0) break;
        text.append(part, static_cast<std::size_t>(got));
        head = text.find("\r\n\r\n");
        if (head == std::string::npos) continue;
        const auto length = text.find("Content-Length: ");
        whole = head + 4;
        if (length < head) whole += std::strtoul(text.c_str() + length + 16, nullptr, 10);
      }
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(text.substr(0, head == std::string::npos ? head : head + 2));
      }
      ::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }

  const std::string answer_;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::vector<std::string> heads_;
  std::thread thread_;
};

}  // namespace ingot::test
