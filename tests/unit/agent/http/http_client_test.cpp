// The client for small requests against our own server: answers of any status, limits, time, TLS,
// bodies that go on, and being stopped.
#include "agent/http/http_client.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/http/tls_identity.hpp"
#include "tests/unit/agent/http/test_handler.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using test::start;
using test::TestHandler;

std::string url(const HttpServer& server, const std::string& path,
                const std::string& scheme = "http") {
  return scheme + "://127.0.0.1:" + std::to_string(server.port()) + path;
}

// Says what it was asked with.
class Echo final : public HttpHandler {
 public:
  [[nodiscard]] bool wants_body(const HttpRequest& header) const override {
    return header.method == "POST";
  }
  HttpAnswer answer(const HttpRequest& request) override {
    HttpAnswer answer{.status = request.target == "/gone" ? 410U : 200U,
                      .body = std::string(request.authorization) + "|" + std::string(request.body),
                      .content_type = "text/plain",
                      .fields = {{"Retry-After", "7"}}};
    if (request.target == "/more")
      answer.more = [this]() -> std::optional<std::string> {
        if (++asked_ > 3) return std::nullopt;
        return asked_ == 2 ? "" : "part" + std::to_string(asked_) + "\n";
      };
    if (request.target == "/endless")
      answer.more = [this] {
        ++asked_;
        return std::optional<std::string>("x");
      };
    return answer;
  }
  [[nodiscard]] std::string error_body(unsigned, std::string_view what) const override {
    return std::string(what);
  }
  std::atomic<int> asked_ = 0;
};

TEST(HttpClient, GivesTheAnswerWhateverItsStatus) {
  Echo echo;
  const auto server = start(echo);
  HttpClient client({});
  const auto got =
      client.exchange({.url = url(*server, "/x"), .headers = {"Authorization: Bearer t"}}, {});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->body, "Bearer t|");
  EXPECT_EQ(got->content_type, "text/plain");
  EXPECT_EQ(got->retry_after, seconds(7));
  const auto posted = client.exchange({.url = url(*server, "/gone"), .body = "b"}, {});
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 410);
  EXPECT_EQ(posted->body, "|b") << "the last one's header is forgotten";
}

TEST(HttpClient, AnAnswerBeyondTheLimitIsRefused) {
  TestHandler handler([](auto, auto) { return HttpAnswer{.body = std::string(5000, 'x')}; });
  const auto server = start(handler);
  HttpClientOptions options;
  options.answer_limit = 4999;
  const auto got = HttpClient(options).exchange({.url = url(*server, "/")}, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), Errc::controller_unreachable);
  EXPECT_NE(got.error().message().find("more than 4999 bytes"), std::string::npos);
  options.answer_limit = 5000;
  EXPECT_TRUE(HttpClient(options).exchange({.url = url(*server, "/")}, {}));
}

TEST(HttpClient, SecretsOfAUrlAreNotTold) {
  HttpClientOptions options;
  options.timeout = milliseconds(2000);
  const auto got =
      HttpClient(options).exchange({.url = "http://u:S3CR3T@127.0.0.1:1/?t=S3CR3T"}, {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), Errc::controller_unreachable);
  EXPECT_EQ(got.error().message().find("S3CR3T"), std::string::npos) << got.error().message();
}

TEST(HttpClient, OtherSchemesAreRefused) {
  for (const auto* other : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"})
    EXPECT_FALSE(HttpClient({}).exchange({.url = other}, {})) << other;
}

TEST(HttpClient, RedirectsAreNotFollowed) {
  TestHandler handler(
      [](auto, auto) { return HttpAnswer{.status = 302, .location = "http://127.0.0.1:1/"}; });
  const auto server = start(handler);
  const auto got = HttpClient({}).exchange({.url = url(*server, "/")}, {});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->status, 302);
}

TEST(HttpClient, EndsWhenStoppedOrTooLate) {
  TestHandler handler(
      [](auto, auto) { return HttpAnswer{.later = [] { return std::optional<HttpAnswer>(); }}; });
  const auto server = start(handler);
  std::stop_source stop;
  std::thread stopper([&stop] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request_stop();
  });
  const auto stopped = HttpClient({}).exchange({.url = url(*server, "/")}, stop.get_token());
  stopper.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Errc::cancelled);

  HttpClientOptions options;
  options.timeout = milliseconds(300);
  const auto late = HttpClient(options).exchange({.url = url(*server, "/")}, {});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::controller_unreachable);
}

TEST(HttpClient, ABodyThatGoesOnComesInParts) {
  Echo echo;
  const auto server = start(echo);
  HttpClient client({});
  std::string text;
  const auto got = client.exchange({.url = url(*server, "/more"),
                                    .on_data =
                                        [&text](std::string_view part) {
                                          text += part;
                                          return true;
                                        }},
                                   {});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(text, "|part1\npart3\n");
  EXPECT_EQ(got->body, "");
}

TEST(HttpClient, ABodyThatGoesOnEndsWhenItsReaderHasEnough) {
  Echo echo;
  const auto server = start(echo);
  std::size_t seen = 0;
  const auto got = HttpClient({}).exchange({.url = url(*server, "/endless"),
                                            .on_data =
                                                [&seen](std::string_view part) {
                                                  seen += part.size();
                                                  return seen < 10;
                                                }},
                                           {});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_GE(seen, 10U);
  // And nobody makes more of it for a client that left.
  int before = -1;
  for (int i = 0; i < 100 && before != echo.asked_; ++i) {
    before = echo.asked_;
    std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_EQ(before, echo.asked_);
}

TEST(HttpClient, VerifiesTheServer) {
  const auto own = make_tls_identity("127.0.0.1", "host1").value();
  const auto other = make_tls_identity("127.0.0.1", "host2").value();
  HttpServerOptions server_options;
  server_options.tls = {.certificate = own.certificate, .private_key = own.private_key};
  TestHandler handler;
  const auto server = start(handler, std::move(server_options));
  const auto ask = [&](const HttpClientOptions& options) {
    return HttpClient(options).exchange({.url = url(*server, "/", "https")}, {}).has_value();
  };
  HttpClientOptions options;
  EXPECT_FALSE(ask(options));
  options.ca_pem = other.certificate;
  EXPECT_FALSE(ask(options));
  options.ca_pem = own.certificate;
  EXPECT_TRUE(ask(options));
  options = {};
  options.tls_insecure = true;
  EXPECT_TRUE(ask(options));
}

}  // namespace
}  // namespace ingot::agent
