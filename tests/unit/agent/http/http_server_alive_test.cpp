// Whether the HTTP server's threads go on, as a watchdog asks.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string_view>
#include <thread>

#include "agent/http/http_server.hpp"
#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::get;
using test::post;
using test::RawClient;
using test::start;
using test::TestHandler;

// Each call leaves something to do, and tells whether the last was done.
TEST(HttpServer, RespondsWhileItsThreadsComeToWhatTheyHaveToDo) {
  std::promise<void> release;
  const std::shared_future<void> released(release.get_future());
  std::atomic<int> held = 0;
  const auto hold = [&](std::string_view, std::string_view) {
    ++held;
    released.wait();
    return HttpAnswer{};
  };
  TestHandler handler(hold, hold);
  const auto server = start(handler);
  const auto becomes = [&server](bool requests, bool expected) {
    const auto end = std::chrono::steady_clock::now() + seconds(30);
    while (server->responds(requests) != expected) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  };
  EXPECT_TRUE(server->responds(true));
  EXPECT_TRUE(becomes(true, true));

  // The thread for requests with a body is held: the others still answer.
  RawClient poster(server->port());
  poster.send(post("/wanted", "x"));
  while (held < 1) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(becomes(true, false));
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(server->responds(true));
  EXPECT_TRUE(becomes(false, true));

  // Both threads for connections are held by a handler that blocks, which none may.
  std::array<std::unique_ptr<RawClient>, 2> getters;
  for (auto& getter : getters) {
    getter = std::make_unique<RawClient>(server->port());
    const int before = held;
    getter->send(get("/"));
    while (held == before) std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(becomes(false, false));
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(server->responds());

  release.set_value();
  EXPECT_TRUE(becomes(true, true));
}

}  // namespace
}  // namespace ingot::agent
