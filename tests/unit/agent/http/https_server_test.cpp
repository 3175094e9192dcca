// The agent's server over TLS: versions, suites, what is no identity, and the same limits as
// without.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <chrono>
#include <string>

#include "agent/http/http_server.hpp"
#include "agent/http/tls_identity.hpp"
#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using test::get;
using test::post;
using test::RawAnswer;
using test::RawClient;
using test::start;
using test::TestHandler;

const TlsIdentity& identity() {
  static const TlsIdentity made = make_tls_identity("127.0.0.1", "host1").value();
  return made;
}

HttpServerOptions with_tls(const std::string& min_version = "1.2",
                           const std::string& cipher_suites = {}) {
  HttpServerOptions options;
  options.addresses = {"127.0.0.1"};
  options.tls = {.certificate = identity().certificate,
                 .private_key = identity().private_key,
                 .min_version = min_version,
                 .cipher_suites = cipher_suites};
  return options;
}

TEST(HttpsServer, AnswersAClientThatKnowsItsCertificate) {
  TestHandler handler;
  const auto server = start(handler, with_tls());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient client(server->port());
    ASSERT_TRUE(client.start_tls(version, version, identity().certificate, "127.0.0.1"));
    EXPECT_EQ(::SSL_version(client.tls()), version);
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(client.ask(get("/x")).value_or(RawAnswer{}).body, "GET /x ");
      EXPECT_EQ(client.ask(post("/wanted", "b")).value_or(RawAnswer{}).body, "POST /wanted b");
    }
    client.send(get("/1") + get("/2"));
    EXPECT_EQ(client.receive().value_or(RawAnswer{}).body, "GET /1 ");
    EXPECT_EQ(client.receive().value_or(RawAnswer{}).body, "GET /2 ");
  }
  // Another address than the certificate's.
  EXPECT_FALSE(RawClient(server->port())
                   .start_tls(TLS1_2_VERSION, TLS1_3_VERSION, identity().certificate, "127.0.0.2"));
}

TEST(HttpsServer, LargeBodiesGoBothWays) {
  TestHandler handler({}, [](auto, std::string_view body) {
    return HttpAnswer{.status = 200, .body = std::string(body)};
  });
  const auto server = start(handler, with_tls());
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 23);
  RawClient client(server->port());
  ASSERT_TRUE(client.start_tls(TLS1_2_VERSION, TLS1_3_VERSION));
  const auto answer = client.ask(post("/wanted", body));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), body.size());
  EXPECT_TRUE(answer->body == body);
}

TEST(HttpsServer, Tls12IsRefusedWhen13IsTheLeast) {
  TestHandler handler;
  const auto server = start(handler, with_tls("1.3"));
  EXPECT_FALSE(RawClient(server->port()).start_tls(TLS1_2_VERSION, TLS1_2_VERSION));
  EXPECT_TRUE(RawClient(server->port()).start_tls(TLS1_2_VERSION, TLS1_3_VERSION));
}

TEST(HttpsServer, OlderVersionsAreRefused) {
  TestHandler handler;
  const auto server = start(handler, with_tls());
  EXPECT_FALSE(RawClient(server->port()).start_tls(TLS1_VERSION, TLS1_1_VERSION));
}

TEST(HttpsServer, OffersStrongSuitesOnlyOrThoseThatWereAskedFor) {
  TestHandler handler;
  const auto suite_of = [&](const HttpServerOptions& options) {
    const auto server = start(handler, options);
    RawClient client(server->port());
    EXPECT_TRUE(client.start_tls(TLS1_2_VERSION, TLS1_2_VERSION));
    return std::string(client.tls() == nullptr ? "" : ::SSL_get_cipher_name(client.tls()));
  };
  EXPECT_EQ(suite_of(with_tls()), "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(suite_of(with_tls("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")),
            "ECDHE-ECDSA-AES128-GCM-SHA256");
}

TEST(HttpsServer, NothingIsCompressedResumedOrRenegotiated) {
  TestHandler handler;
  const auto server = start(handler, with_tls());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient client(server->port());
    ASSERT_TRUE(client.start_tls(version, version));
    ASSERT_TRUE(client.ask(get("/")));  // by now a ticket would have come
    EXPECT_EQ(::SSL_get_current_compression(client.tls()), nullptr);
    EXPECT_EQ(::SSL_SESSION_has_ticket(::SSL_get_session(client.tls())), 0);
    if (version == TLS1_2_VERSION) {
      // Refused, or the connection ends; in no case is there a new handshake.
      ::SSL_renegotiate(client.tls());
      EXPECT_NE(::SSL_do_handshake(client.tls()) == 1 && client.ask(get("/")).has_value(), true);
    }
  }
}

TEST(HttpsServer, WhatIsNoIdentityIsSaid) {
  TestHandler handler;
  const TlsIdentity other = make_tls_identity("127.0.0.1", "host1").value();
  const auto refused = [&](TlsServerOptions tls) {
    const auto server =
        HttpServer::start({.addresses = {"127.0.0.1"}, .tls = std::move(tls)}, handler);
    if (server) return std::string();
    EXPECT_EQ(server.error().code(), Errc::usage_option);
    return server.error().message();
  };
  const auto& [key, certificate] = identity();
  EXPECT_NE(refused({.certificate = certificate, .private_key = ""}), "");
  EXPECT_NE(refused({.certificate = "", .private_key = key}), "");
  EXPECT_NE(refused({.certificate = certificate, .private_key = other.private_key}), "");
  EXPECT_NE(refused({.certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                     .private_key = key}),
            "");
  EXPECT_NE(refused({.certificate = certificate, .private_key = key, .min_version = "1.1"}), "");
  EXPECT_NE(refused({.certificate = certificate, .private_key = key, .cipher_suites = "NONE"}), "");
  // What is no key may be one in part, and is not quoted.
  const std::string damaged = key.substr(0, key.size() / 2);
  const std::string message = refused({.certificate = certificate, .private_key = damaged});
  ASSERT_NE(message, "");
  EXPECT_EQ(message.find(damaged.substr(40, 20)), std::string::npos);
}

TEST(HttpsServer, TheSameLimitsHold) {
  TestHandler handler;
  auto options = with_tls();
  options.header_timeout = milliseconds(1000);
  options.body_timeout = milliseconds(200);
  options.body_limit = 1000;
  const auto server = start(handler, options);
  const auto refused = [&](const std::string& request, int status) {
    SCOPED_TRACE(request);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      RawClient client(server->port());
      ASSERT_TRUE(client.start_tls(version, version));
      const auto answer = client.ask(request);
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, status);
      EXPECT_TRUE(client.ended());
      // Ended properly: nobody else cut it off.
      EXPECT_EQ(::SSL_get_shutdown(client.tls()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    }
  };
  refused("nonsense\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\n", 408);
  refused("POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", 408);
  refused("POST /wanted HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\nx", 413);
  refused("GET /" + std::string(20'000, 'x'), 431);
  // A body that nobody wants: answered at once, although the client is still sending.
  refused("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n" +
              std::string(4UL << 20, 'x'),
          200);
}

TEST(HttpsServer, HandshakesMustNotTakeTheirTime) {
  TestHandler handler;
  auto options = with_tls();
  options.header_timeout = milliseconds(150);
  const auto server = start(handler, options);
  RawClient silent(server->port());
  EXPECT_TRUE(silent.ended());
  RawClient slow(server->port());
  slow.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  while (!slow.readable(milliseconds(20)) && slow.send("x")) {
  }
  EXPECT_TRUE(slow.ended());
  // Neither does who speaks HTTP only get an answer.
  RawClient plain(server->port());
  EXPECT_FALSE(plain.ask(get("/")));
}

}  // namespace
}  // namespace ingot::agent
