// The agent's HTTP server among strangers: thousands of damaged connections, and it neither falls
// over nor grows.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "agent/http/http_server.hpp"
#include "agent/http/tls_identity.hpp"
#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::get;
using test::post;
using test::RawAnswer;
using test::RawClient;
using test::start;
using test::TestHandler;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // memory of their own, and a slower everything
#else
constexpr bool kSanitized = false;
#endif

// MiB.
double rss() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// RSS is below `limit`, now or soon: connections that ended are still being cleared away.
void expect_rss_falls_below(double limit) {
  if (kSanitized) return;
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (rss() > limit && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(milliseconds(20));
  EXPECT_LE(rss(), limit);
}

// Requests that are right, as material.
std::vector<std::string> material() {
  return {
      get("/v1/commands/?wait=true&agent_token=abc"),
      post("/wanted", "{\"name\": \"x.y\", \"params\": {}}"),
      "POST /wanted HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=\"q\"\r\nabcde\r\n0\r\nTrailer: x\r\n\r\n",
      "POST /wanted HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\nX: a\r\n b\r\n\r\n",
      post("/other", "unwanted"),
      "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000000\r\n\r\nx",
  };
}

std::string damaged(std::minstd_rand& random) {
  static const std::vector<std::string> kMaterial = material();
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  std::string text;
  for (std::size_t parts = 1 + below(3); parts > 0; --parts)
    text += kMaterial[below(kMaterial.size())];
  switch (below(5)) {
    case 0:  // nonsense
      text.resize(below(600));
      for (auto& c : text) c = static_cast<char>(random() & 0xFFU);
      break;
    case 1:  // truncated
      text.resize(below(text.size()));
      break;
    case 2:  // something is missing
      text.erase(below(text.size()), 1 + below(20));
      break;
    default:  // bytes differ
      for (std::size_t n = 1 + below(6); n > 0; --n)
        text[below(text.size())] = static_cast<char>(random() & 0xFFU);
  }
  return text;
}

// How many connections that send damaged requests and leave in one way or other.
void attack(std::uint16_t port, int connections, bool tls, unsigned seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < connections; ++i) {
    RawClient client(port);
    if (!client.connected()) continue;
    if (tls && random() % 4 != 0) client.start_tls(TLS1_2_VERSION, TLS1_3_VERSION);
    client.send(damaged(random));
    switch (random() % 4) {
      case 0:
        client.reset();
        break;
      case 1:
        client.end_sending();
        client.receive();
        break;
      case 2:
        if (client.readable(milliseconds(2))) client.receive();
        break;
      default:
        break;
    }
  }
}

void survive(HttpServerOptions options, int connections, bool tls) {
  TestHandler handler;
  options.header_timeout = options.body_timeout = options.idle_timeout = milliseconds(300);
  const auto server = start(handler, options);
  const auto rounds = [&](int count) {
    std::vector<std::thread> attackers;
    for (unsigned i = 0; i < 3; ++i)
      attackers.emplace_back([&, i] { attack(server->port(), count / 3, tls, 7 + i); });
    for (auto& attacker : attackers) attacker.join();
  };
  rounds(connections / 4);  // whatever is made once
  const double before = rss();
  rounds(connections);
  EXPECT_GT(handler.gets, 0);
  EXPECT_GT(handler.posts, 0);
  std::optional<RawAnswer> answer;
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  while (!answer && std::chrono::steady_clock::now() < until) {
    RawClient client(server->port());
    if (!tls || client.start_tls(TLS1_2_VERSION, TLS1_3_VERSION)) answer = client.ask(get("/"));
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  expect_rss_falls_below(before + 6);
}

TEST(HttpServerHostile, SurvivesDamagedRequests) {
  survive({}, kSanitized ? 1500 : 4000, false);
}

TEST(HttpServerHostile, SurvivesDamagedRequestsOverTls) {
  const auto identity = make_tls_identity("127.0.0.1", "host1").value();
  HttpServerOptions options;
  options.tls = {.certificate = identity.certificate, .private_key = identity.private_key};
  survive(options, kSanitized ? 300 : 900, true);
}

TEST(HttpServerHostile, SilentClientsCostLittleAndLoseTheirPlaces) {
  TestHandler handler;
  const auto server = start(handler, {.header_timeout = milliseconds(700)});
  ASSERT_TRUE(RawClient(server->port()).ask(get("/")));
  const double before = rss();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(3000, 'x'));
  }
  expect_rss_falls_below(before + 5);
  std::optional<RawAnswer> answer;
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  while (!answer && std::chrono::steady_clock::now() < until)
    answer = RawClient(server->port()).ask(get("/"));
  EXPECT_TRUE(answer);
}

TEST(HttpServerHostile, MemoryOfLargeBodiesIsGivenBack) {
  TestHandler handler({}, [](auto, std::string_view body) {
    return HttpAnswer{.status = 200, .body = std::to_string(body.size())};
  });
  const auto server = start(handler);
  ASSERT_TRUE(RawClient(server->port()).ask(post("/wanted", "x")));
  const std::string chunk(1UL << 20, 'x');
  // Below 32 MiB malloc() keeps what it was given back, once such sizes were asked for.
  const double before = rss();
  for (const bool chunked : {false, true, false, true}) {
    RawClient client(server->port());
    client.send("POST /wanted HTTP/1.1\r\nHost: a\r\n" +
                std::string(chunked ? "Transfer-Encoding: chunked\r\n\r\n"
                                    : "Content-Length: 20971520\r\n\r\n"));
    for (int i = 0; i < 20; ++i) {
      if (chunked) client.send("100000\r\n");
      client.send(chunk);
      if (chunked) client.send("\r\n");
    }
    if (chunked) client.send("0\r\n\r\n");
    EXPECT_EQ(client.receive().value_or(RawAnswer{}).body, "20971520");
  }
  expect_rss_falls_below(before + 3);
}

TEST(HttpServerHostile, AnnouncedBodiesTakeNoMemory) {
  TestHandler handler;
  const auto server = start(handler);
  ASSERT_TRUE(RawClient(server->port()).ask(post("/wanted", "x")));
  const double before = rss();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send("POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                         std::to_string(i == 0 ? 96 << 20 : 1 << 20) + "\r\n\r\nx");
  }
  ASSERT_TRUE(RawClient(server->port()).ask(post("/wanted", "x")));
  expect_rss_falls_below(before + 6);
}

}  // namespace
}  // namespace ingot::agent
