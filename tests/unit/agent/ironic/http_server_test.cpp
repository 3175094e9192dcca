// The agent's HTTP server against real sockets: what it answers, what it refuses, and that nobody
// can hold it up.
#include "agent/ironic/http_server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/unit/agent/ironic/raw_client.hpp"
#include "tests/unit/agent/ironic/test_handler.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using test::get;
using test::post;
using test::RawClient;
using test::start;
using test::TestHandler;

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  for (int round = 0; round < 3; ++round) {
    const auto answer = client.ask(get("/v1/status?x=1"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "GET /v1/status?x=1 ");
    EXPECT_EQ(answer->field("Content-Type"), "application/json");
    EXPECT_EQ(answer->field("Connection"), "");
    const auto posted = client.ask(post("/wanted", "{\"name\": 1}"));
    ASSERT_TRUE(posted);
    EXPECT_EQ(posted->body, "POST /wanted {\"name\": 1}");
  }
}

}  // namespace
}  // namespace ingot::agent
