// Ironic's API as the agent sees it: a real server, with answers that the test makes.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/http/http_server.hpp"

namespace ingot::test {

/// Answers what `answer` says, and remembers what it was asked.
class FakeIronic final : public agent::HttpHandler {
 public:
  struct Request {
    std::string method, target, body;
  };
  /// Called by one thread at a time; `number` counts from 0.
  using Answer = std::function<agent::HttpAnswer(const Request& request, std::size_t number)>;

  explicit FakeIronic(Answer answer, agent::HttpServerOptions options = {})
      : answer_(std::move(answer)), scheme_(options.tls.certificate.empty() ? "http" : "https") {
    options.addresses = {"127.0.0.1"};
    auto started = agent::HttpServer::start(std::move(options), *this);
    if (started)
      server_ = *std::move(started);
    else
      ADD_FAILURE() << started.error().message();
  }

  [[nodiscard]] std::string url() const {
    return scheme_ + "://127.0.0.1:" + std::to_string(server_ ? server_->port() : 0);
  }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Whether so many requests came; waits far longer than that takes.
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return requests_.size() >= count; });
  }

  [[nodiscard]] bool wants_body(const agent::HttpRequest& header) const override {
    return header.method == "POST";
  }
  agent::HttpAnswer answer(const agent::HttpRequest& http) override {
    agent::HttpAnswer made;
    {
      const std::lock_guard lock(mutex_);
      const Request request{std::string(http.method), std::string(http.target),
                            std::string(http.body)};
      made = answer_(request, requests_.size());
      requests_.push_back(request);
    }
    changed_.notify_all();
    return made;
  }
  [[nodiscard]] std::string error_body(unsigned, std::string_view what) const override {
    return std::string(what);
  }

 private:
  const Answer answer_;
  const std::string scheme_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request> requests_;
  std::unique_ptr<agent::HttpServer> server_;  // last: its threads use the rest
};

}  // namespace ingot::test
