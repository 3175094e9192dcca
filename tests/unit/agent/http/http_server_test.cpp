// The agent's HTTP server against real sockets: what it answers, and what it refuses with which
// status.
#include "agent/http/http_server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

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

// Refused with this status, in the handler's words, and then the connection is ended.
void expect_refused(RawClient& client, int status) {
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, status);
  EXPECT_EQ(answer->field("Content-Type"), "application/json");
  EXPECT_EQ(answer->field("Connection"), "close");
  EXPECT_EQ(answer->body.rfind("{\"error\": \"" + std::to_string(status) + " ", 0), 0U)
      << answer->body;
  EXPECT_TRUE(client.ended());
}

// Large enough to be beyond 1 MiB.
constexpr std::size_t kLarge = (1UL << 20) + 5000;

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  for (int round = 0; round < 3; ++round) {
    const auto answer = client.ask(get("/v1/status?x=1"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->head.rfind("HTTP/1.1 200 OK\r\n", 0), 0U);
    EXPECT_EQ(answer->body, "GET /v1/status?x=1 ");
    EXPECT_EQ(answer->field("Content-Type"), "application/json");
    EXPECT_EQ(answer->field("Connection"), "");
    const auto posted = client.ask(post("/wanted", "{\"name\": 1}"));
    ASSERT_TRUE(posted);
    EXPECT_EQ(posted->body, "POST /wanted {\"name\": 1}");
    const auto empty = client.ask(post("/wanted", ""));
    ASSERT_TRUE(empty);
    EXPECT_EQ(empty->body, "POST /wanted ");
  }
  EXPECT_EQ(handler.posts, 6);
}

TEST(HttpServer, ListensAtSeveralAddresses) {
  TestHandler handler;
  const auto server = start(handler, {.addresses = {"127.0.0.1", "::1"}});
  for (const auto* address : {"127.0.0.1", "::1"})
    EXPECT_TRUE(RawClient(server->port(), address).ask(get("/"))) << address;
}

TEST(HttpServer, AnyAddressTakesIpv4AsWell) {
  TestHandler handler;
  const auto server = start(handler, {.addresses = {"::"}});
  for (const auto* address : {"127.0.0.1", "::1"})
    EXPECT_TRUE(RawClient(server->port(), address).ask(get("/"))) << address;
}

TEST(HttpServer, WhatCannotBeBoundIsSaid) {
  TestHandler handler;
  const auto server = start(handler);
  for (const std::vector<std::string>& addresses :
       {std::vector<std::string>{}, {"host1"}, {""}, {"127.0.0.1"}, {"192.0.2.1"}}) {
    const auto second =
        HttpServer::start({.addresses = addresses, .port = server->port()}, handler);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Errc::usage_option);
  }
  const auto taken =
      HttpServer::start({.addresses = {"127.0.0.1"}, .port = server->port()}, handler);
  EXPECT_EQ(taken.error().message(), "listening at '127.0.0.1', port " +
                                         std::to_string(server->port()) +
                                         ": Address already in use");
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += get("/" + std::to_string(i)) + post("/wanted/" + std::to_string(i), "body");
  std::thread sender([&] { EXPECT_TRUE(client.send(all)); });
  for (int i = 0; i < 50; ++i) {
    const auto got = client.receive();
    const auto posted = client.receive();
    ASSERT_TRUE(got && posted) << i;
    EXPECT_EQ(got->body, "GET /" + std::to_string(i) + " ");
    EXPECT_EQ(posted->body, "POST /wanted/" + std::to_string(i) + " body");
  }
  sender.join();
}

TEST(HttpServer, RequestsMayComeByteByByte) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  for (const char byte : post("/wanted", "abc") +
                             "POST /wanted/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                             "chunked\r\n\r\n2;x=y\r\nde\r\n1\r\nf\r\n0\r\nTrailer: t\r\n\r\n")
    ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(client.receive().value_or(RawAnswer{}).body, "POST /wanted abc");
  EXPECT_EQ(client.receive().value_or(RawAnswer{}).body, "POST /wanted/2 def");
}

TEST(HttpServer, AnswersHttp10) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  const auto answer = client.ask("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->field("Connection"), "close");
  EXPECT_TRUE(client.ended());

  RawClient keeper(server->port());
  for (int round = 0; round < 2; ++round) {
    const auto kept = keeper.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->field("Connection"), "keep-alive");
  }
}

TEST(HttpServer, EndsTheConnectionWhenAsked) {
  TestHandler handler;
  const auto server = start(handler);
  RawClient client(server->port());
  const auto answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->field("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(HttpServer, EndsTheConnectionAfterSoManyRequests) {
  TestHandler handler;
  const auto server = start(handler, {.max_requests_per_connection = 2});
  RawClient client(server->port());
  EXPECT_EQ(client.ask(get("/1")).value_or(RawAnswer{}).field("Connection"), "");
  EXPECT_EQ(client.ask(get("/2")).value_or(RawAnswer{}).field("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(HttpServer, HeadGetsNoBody) {
  TestHandler handler([](auto, auto) {
    return HttpAnswer{.status = 405, .body = "no such method", .allow = "GET, POST"};
  });
  const auto server = start(handler);
  RawClient client(server->port());
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto answer = client.receive(true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->field("Allow"), "GET, POST");
  EXPECT_EQ(answer->field("Content-Length"), "14");
  const auto next = client.ask(get("/"));  // in step, although the first had no body
  ASSERT_TRUE(next);
  EXPECT_EQ(next->body, "no such method");
}

TEST(HttpServer, RedirectsWithoutLettingLinesIn) {
  TestHandler handler([](std::string_view target, auto) {
    return HttpAnswer{
        .status = 308,
        .location = target == "/evil" ? "/a\r\nX-Evil: 1" : std::string(target) + "/"};
  });
  const auto server = start(handler);
  RawClient client(server->port());
  const auto answer = client.ask(get("/v1"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->head.rfind("HTTP/1.1 308 Permanent Redirect\r\n", 0), 0U);
  EXPECT_EQ(answer->field("Location"), "/v1/");
  const auto evil = client.ask(get("/evil"));
  ASSERT_TRUE(evil);
  EXPECT_EQ(evil->field("Location"), "");
  EXPECT_EQ(evil->field("X-Evil"), "");
}

TEST(HttpServer, SaysContinueBeforeAWantedBody) {
  TestHandler handler;
  const auto server = start(handler, {.body_limit = 100});
  RawClient client(server->port());
  const std::string head = "POST /wanted HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
  const auto go_on = client.ask(head + "Content-Length: 4\r\n\r\n");
  ASSERT_TRUE(go_on);
  EXPECT_EQ(go_on->status, 100);
  EXPECT_EQ(client.ask("body").value_or(RawAnswer{}).body, "POST /wanted body");
  // Not before one that is refused anyway.
  client.send(head + "Content-Length: 101\r\n\r\n");
  expect_refused(client, 413);
}

TEST(HttpServer, MalformedRequestsAre400) {
  TestHandler handler;
  const auto server = start(handler);
  const std::string line = "POST /wanted HTTP/1.1\r\n";
  for (const std::string& request : {
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // a TLS handshake
           std::string("GET\r\n\r\n"),
           std::string("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
           std::string("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost a\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
           line + "Host: a\r\nContent-Length: -1\r\n\r\n",
           line + "Host: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
           line + "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
           line + "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           line + "Host: a\r\nTransfer-Encoding: gzip\r\n\r\nx",
           line + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
           std::string("POST /wanted HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           line + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n",
           line + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n",
           line + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(60000, 'x'),
       }) {
    SCOPED_TRACE(request.substr(0, 120));
    RawClient client(server->port());
    client.send(request);
    expect_refused(client, 400);
  }
  EXPECT_EQ(handler.gets + handler.posts, 0);
}

TEST(HttpServer, LargeHeadersAre431) {
  TestHandler handler;
  const auto server = start(handler, {.header_limit = 4096});
  for (const std::string& request :
       {"GET /" + std::string(5000, 'x'),
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(5000, 'x'),
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(4070, 'x') + "\r\n\r\n"}) {
    RawClient client(server->port());
    client.send(request);
    expect_refused(client, 431);
  }
  std::string fields = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 1000; ++i) fields += "A: b\r\n";
  RawClient many(server->port());
  many.send(fields + "\r\n");
  expect_refused(many, 431);
  // One byte by the other, in case only what comes at once is counted.
  RawClient slow(server->port());
  for (std::size_t i = 0; i < 4200 && slow.send({&fields[i], 1}); ++i) {
  }
  expect_refused(slow, 431);
  EXPECT_EQ(handler.gets, 0);
  EXPECT_TRUE(RawClient(server->port()).ask(get("/" + std::string(4000, 'x'))));
}

TEST(HttpServer, LargeBodiesAre413) {
  TestHandler handler;
  const auto server = start(handler, {.body_limit = 20'000});
  const std::string head = "POST /wanted HTTP/1.1\r\nHost: a\r\n";
  RawClient announced(server->port());
  announced.send(head + "Content-Length: 20001\r\n\r\n");
  expect_refused(announced, 413);

  RawClient chunk(server->port());
  chunk.send(head + "Transfer-Encoding: chunked\r\n\r\n4e21\r\n");
  expect_refused(chunk, 413);

  RawClient chunks(server->port());
  std::string text = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 21; ++i) text += "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  chunks.send(text);
  expect_refused(chunks, 413);
  EXPECT_EQ(handler.posts, 0);

  const auto fits = RawClient(server->port()).ask(post("/wanted", std::string(20'000, 'x')));
  ASSERT_TRUE(fits);
  EXPECT_EQ(fits->status, 200);
}

TEST(HttpServer, SlowHeadersAre408) {
  TestHandler handler;
  const auto server = start(handler, {.header_timeout = milliseconds(150)});
  RawClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  expect_refused(client, 408);
  // From a drop every now and then a header does not get more time.
  RawClient dripping(server->port());
  dripping.send("GET / HTTP/1.1\r\nHost: a\r\n");
  while (!dripping.readable(milliseconds(20)) && dripping.send("X: y\r\n")) {
  }
  expect_refused(dripping, 408);
  // Neither does the second request.
  RawClient second(server->port());
  ASSERT_TRUE(second.ask(get("/")));
  second.send("GET");
  expect_refused(second, 408);
}

TEST(HttpServer, SilentConnectionsAreEnded) {
  TestHandler handler;
  const auto server =
      start(handler, {.header_timeout = milliseconds(100), .idle_timeout = milliseconds(150)});
  RawClient never(server->port());
  EXPECT_TRUE(never.ended());
  RawClient once(server->port());
  ASSERT_TRUE(once.ask(get("/")));
  EXPECT_TRUE(once.ended());
}

TEST(HttpServer, SlowBodiesAre408) {
  TestHandler handler;
  const auto server = start(handler, {.body_timeout = milliseconds(150)});
  RawClient client(server->port());
  client.send("POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
  while (!client.readable(milliseconds(20)) && client.send("x")) {
  }
  expect_refused(client, 408);
  EXPECT_EQ(handler.posts, 0);
}

TEST(HttpServer, UnwantedBodiesAreNotRead) {
  TestHandler handler([](auto, std::string_view body) {
    EXPECT_EQ(body, "");
    return HttpAnswer{.status = 401, .body = "who are you?"};
  });
  const auto server = start(handler, {.body_limit = 1000});
  for (const std::string coding : {"Content-Length: 104857600", "Transfer-Encoding: chunked"}) {
    RawClient client(server->port());
    const auto answer = client.ask("POST /other HTTP/1.1\r\nHost: a\r\n" + coding + "\r\n\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 401);
    EXPECT_EQ(answer->field("Connection"), "close");
    EXPECT_TRUE(client.ended());
  }
  // A client that sends all it has before it reads still gets the answer, not a reset.
  RawClient eager(server->port());
  eager.send("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
  EXPECT_TRUE(eager.send(std::string(8UL << 20, 'x')));
  const auto answer = eager.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 401);
  EXPECT_TRUE(eager.ended());
}

TEST(HttpServer, LaterAnswersComeWhenTheyAreThere) {
  std::atomic<int> asked = 0;
  const auto later = [&](auto, auto) {
    HttpAnswer answer;
    answer.later = [&asked]() -> std::optional<HttpAnswer> {
      if (++asked % 3 != 0) return std::nullopt;
      return HttpAnswer{.status = 200, .body = "at last"};
    };
    return answer;
  };
  TestHandler handler(later, later);
  const auto server = start(handler);
  RawClient client(server->port());
  EXPECT_EQ(client.ask(get("/")).value_or(RawAnswer{}).body, "at last");
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(client.ask(post("/wanted", "x")).value_or(RawAnswer{}).body, "at last");
  EXPECT_EQ(asked, 6);
}

TEST(HttpServer, NobodyIsAskedForAClientThatLeft) {
  std::atomic<int> asked = 0;
  TestHandler handler([&](auto, auto) {
    return HttpAnswer{.later = [&asked]() -> std::optional<HttpAnswer> {
      ++asked;
      return std::nullopt;
    }};
  });
  const auto server = start(handler, {.max_connections = 1});
  {
    RawClient client(server->port());
    client.send(get("/"));
    while (asked == 0) std::this_thread::sleep_for(milliseconds(5));
  }
  // Its place is free again.
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  bool free = false;
  while (!free && std::chrono::steady_clock::now() < until) {
    RawClient next(server->port());
    next.send(get("/"));
    free = !next.readable(milliseconds(200));  // waits for its answer, and was not turned away
  }
  EXPECT_TRUE(free);
}

TEST(HttpServer, WhatTheHandlerThrowsIs500) {
  const auto thrower = [](auto, auto) -> HttpAnswer { throw std::runtime_error("secret"); };
  TestHandler handler(thrower, thrower);
  const auto server = start(handler);
  RawClient client(server->port());
  for (const auto& request : {get("/"), post("/wanted", "x")}) {
    const auto answer = client.ask(request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500);
    EXPECT_EQ(answer->body.find("secret"), std::string::npos);
    EXPECT_EQ(answer->body.rfind("{\"error\": \"500 ", 0), 0U);
  }
}

TEST(HttpServer, ConnectionsBeyondTheCapAreEnded) {
  TestHandler handler;
  const auto server = start(handler, {.max_connections = 2});
  RawClient one(server->port());
  std::optional<RawClient> two(server->port());
  ASSERT_TRUE(one.ask(get("/")));
  ASSERT_TRUE(two->ask(get("/")));
  RawClient three(server->port());
  EXPECT_FALSE(three.ask(get("/")));
  ASSERT_TRUE(one.ask(get("/")));
  two.reset();
  std::optional<RawAnswer> answer;
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  while (!answer && std::chrono::steady_clock::now() < until)
    answer = RawClient(server->port()).ask(get("/"));
  EXPECT_TRUE(answer);
}

TEST(HttpServer, GetsAreAnsweredWhileAPostRuns) {
  std::promise<void> release;
  const auto released = release.get_future().share();
  TestHandler handler({}, [released](auto, auto) {
    released.wait();
    return HttpAnswer{.status = 200, .body = "done"};
  });
  const auto server = start(handler);
  RawClient poster(server->port());
  poster.send(post("/wanted", "x"));
  while (handler.posts == 0) std::this_thread::sleep_for(milliseconds(1));
  RawClient getter(server->port());
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(getter.ask(get("/")));
  EXPECT_FALSE(poster.readable(milliseconds(0)));
  release.set_value();
  EXPECT_EQ(poster.receive().value_or(RawAnswer{}).body, "done");
}

TEST(HttpServer, TooManyWaitingPostsAre503) {
  std::promise<void> release;
  const auto released = release.get_future().share();
  std::atomic<int> together = 0;
  TestHandler handler({}, [&, released](auto, auto) {
    EXPECT_EQ(++together, 1);  // one at a time
    released.wait();
    --together;
    return HttpAnswer{.status = 200, .body = "done"};
  });
  const auto server = start(handler);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send(post("/wanted", "x"));
  }
  // Nothing is answered before `release` but what is refused.
  int refused = 0;
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  while (refused < 14 && std::chrono::steady_clock::now() < until) {
    refused = 0;
    for (const auto& client : clients) refused += client->readable(milliseconds(1)) ? 1 : 0;
  }
  release.set_value();
  int done = 0;
  refused = 0;
  for (const auto& client : clients) {
    const auto answer = client->receive();
    ASSERT_TRUE(answer);
    ++(answer->status == 200 ? done : refused);
    EXPECT_TRUE(answer->status == 200 || answer->status == 503) << answer->status;
  }
  EXPECT_EQ(done, 16);
  EXPECT_EQ(refused, 14);
}

TEST(HttpServer, OneLargeBodyAtATime) {
  TestHandler handler({}, [](auto, std::string_view body) {
    return HttpAnswer{.status = 200, .body = std::to_string(body.size())};
  });
  const auto server = start(handler);
  const std::string length = "Content-Length: " + std::to_string(kLarge);
  const std::string body(kLarge, 'x');
  RawClient first(server->port());
  const std::string head = "POST /wanted HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(first.ask(head + "Expect: 100-continue\r\n" + length + "\r\n\r\n")
                .value_or(RawAnswer{})
                .status,
            100);
  RawClient second(server->port());
  second.send(head + length + "\r\n\r\n");
  expect_refused(second, 503);
  RawClient chunked(server->port());
  chunked.send(head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + body);
  expect_refused(chunked, 503);
  EXPECT_EQ(RawClient(server->port()).ask(post("/wanted", "small")).value_or(RawAnswer{}).body,
            "5");
  EXPECT_EQ(first.ask(body).value_or(RawAnswer{}).body, std::to_string(kLarge));
  // It is the next one's turn; one that leaves gives its turn back as well.
  EXPECT_EQ(RawClient(server->port()).ask(post("/wanted", body)).value_or(RawAnswer{}).status, 200);
  {
    RawClient leaving(server->port());
    leaving.ask(head + "Expect: 100-continue\r\n" + length + "\r\n\r\n");
  }
  int status = 503;
  const auto until = std::chrono::steady_clock::now() + seconds(30);
  while (status == 503 && std::chrono::steady_clock::now() < until)
    status =
        RawClient(server->port())
            .ask(head + "Transfer-Encoding: chunked\r\n\r\n101388\r\n" + body + "\r\n0\r\n\r\n")
            .value_or(RawAnswer{})
            .status;
  EXPECT_EQ(status, 200);
}

TEST(HttpServer, StopAcceptingLeavesThoseThatAreThere) {
  TestHandler handler;
  const auto server = start(handler, {.addresses = {"127.0.0.1", "::1"}});
  RawClient client(server->port());
  ASSERT_TRUE(client.ask(get("/")));
  server->stop_accepting();
  server->stop_accepting();
  EXPECT_FALSE(RawClient(server->port()).connected());
  EXPECT_FALSE(RawClient(server->port(), "::1").connected());
  const auto answer = client.ask(get("/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->field("Connection"), "close");
}

TEST(HttpServer, EndsWhileRequestsAreInProgress) {
  std::promise<void> release;
  const auto released = release.get_future().share();
  std::atomic<bool> over = false;
  TestHandler handler(
      [](auto, auto) {
        return HttpAnswer{.later = []() -> std::optional<HttpAnswer> { return std::nullopt; }};
      },
      [&, released](auto, auto) {
        released.wait();
        over = true;
        return HttpAnswer{};
      });
  auto server = start(handler);
  // Each in another phase; the second POST waits for the first.
  RawClient silent(server->port());
  RawClient header(server->port());
  RawClient body(server->port());
  RawClient waiting(server->port());
  RawClient running(server->port());
  RawClient queued(server->port());
  header.send("GET / HT");
  body.send("POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
  waiting.send(get("/"));
  running.send(post("/wanted", "x"));
  while (handler.posts == 0 || handler.gets == 0) std::this_thread::sleep_for(milliseconds(1));
  queued.send(post("/wanted", "x"));

  std::atomic<bool> gone = false;
  std::thread end([&] {
    server.reset();
    gone = true;
  });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(gone);  // waits for the running request
  release.set_value();
  end.join();
  EXPECT_TRUE(over);
  EXPECT_LE(handler.posts, 2);  // usually one: the queue is given up
  for (RawClient* client : {&silent, &header, &body, &waiting, &running, &queued})
    EXPECT_TRUE(client->ended());
}

}  // namespace
}  // namespace ingot::agent
