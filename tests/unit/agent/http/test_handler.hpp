/// A handler that says what it was asked, and requests to ask it with.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "agent/http/http_server.hpp"

namespace ingot::test {

/// Wants the bodies of POSTs to "/wanted…". Answers "METHOD TARGET BODY", or what `on_get` or
/// `on_post` say.
class TestHandler final : public agent::HttpHandler {
 public:
  using Answer = std::function<agent::HttpAnswer(std::string_view target, std::string_view body)>;

  explicit TestHandler(Answer on_get = {}, Answer on_post = {})
      : on_get_(std::move(on_get)), on_post_(std::move(on_post)) {}

  [[nodiscard]] bool wants_body(const agent::HttpRequest& header) const override {
    return header.method == "POST" && header.target.substr(0, 7) == "/wanted";
  }

  agent::HttpAnswer answer(const agent::HttpRequest& request) override {
    const bool wanted = wants_body(request);
    ++(wanted ? posts : gets);
    if (const Answer& made = wanted ? on_post_ : on_get_) return made(request.target, request.body);
    std::string text(request.method);
    text.append(" ").append(request.target).append(" ").append(request.body);
    return {.status = 200, .body = std::move(text)};
  }

  [[nodiscard]] std::string error_body(unsigned status, std::string_view what) const override {
    return "{\"error\": \"" + std::to_string(status) + " " + std::string(what) + "\"}";
  }

  std::atomic<int> gets = 0, posts = 0;

 private:
  Answer on_get_, on_post_;
};

inline std::unique_ptr<agent::HttpServer> start(agent::HttpHandler& handler,
                                                agent::HttpServerOptions options = {}) {
  if (options.addresses.empty()) options.addresses = {"127.0.0.1"};
  auto server = agent::HttpServer::start(std::move(options), handler);
  if (!server) {
    ADD_FAILURE() << server.error().message();
    return nullptr;
  }
  return *std::move(server);
}

inline std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: agent\r\n\r\n";
}

inline std::string post(const std::string& target, const std::string& body) {
  return "POST " + target +
         " HTTP/1.1\r\nHost: agent\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

}  // namespace ingot::test
