// The agent's side of Ironic's API, against a real server.
#include "agent/ironic/ironic_client.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <thread>

#include "agent/http/tls_identity.hpp"
#include "agent/text/json_object.hpp"
#include "tests/support/command.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"
#include "tests/unit/agent/ironic/head_receiver.hpp"

namespace ingot::agent {
namespace {

using test::FakeIronic;

const std::string kUuid = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";
const std::string kLookup =
    R"({"node": {"uuid": "1be26c0b-03f2-4d2e-ae87-c02d7f33c123", "properties": {"a": 1}},
        "config": {"heartbeat_timeout": 300, "agent_token": "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4",
                   "agent_md5_checksum_enable": true, "permitted_image_formats": ["raw", "iso"],
                   "agent_skip_bmc_detect": true, "tls_min_version": "1.3",
                   "tls_cipher_suites": null, "news": {"of": ["tomorrow"]}}})";

AgentOptions options(const std::vector<std::string>& urls) {
  AgentOptions made;
  made.api_urls = urls;
  made.http_request_timeout = std::chrono::seconds(20);
  return made;
}

HttpAnswer says(unsigned status, std::string body = {}) {
  return {.status = status, .body = std::move(body)};
}

// Nobody listens there.
std::string dead_url() {
  FakeIronic ironic([](const auto&, std::size_t) { return says(200); });
  return ironic.url();
}

std::string version_text(const std::string& version) {
  return R"({"default_version": {"id": "v1", "version": ")" + version + R"("}})";
}

TEST(ApiVersion, ComparesAsNumbers) {
  EXPECT_EQ(ApiVersion::parse("1.68"), kWithCertificate);
  EXPECT_LT(ApiVersion::parse("1.9").value(), ApiVersion::parse("1.115").value());
  EXPECT_EQ(ApiVersion::parse("1.115").value().text(), "1.115");
  for (const auto* text :
       {"", "1", "1.", ".68", "1.68.1", "1.68 ", "a.b", "-1.2", "1.-2", "1.99999999999999999999"})
    EXPECT_FALSE(ApiVersion::parse(text)) << text;
}

TEST(LookupAnswer, AllThatTheAgentUses) {
  const auto answer = read_lookup_answer(kLookup);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->uuid, kUuid);
  EXPECT_EQ(string_in(parse_json_object(answer->node).value(), "uuid"), kUuid);
  EXPECT_EQ(answer->heartbeat_timeout, std::chrono::seconds(300));
  EXPECT_EQ(answer->token, kToken);
  EXPECT_FALSE(answer->token_withheld);
  EXPECT_EQ(answer->md5_allowed, true);
  EXPECT_EQ(answer->permitted_formats, (std::vector<std::string>{"raw", "iso"}));
  EXPECT_TRUE(answer->skip_bmc_detection);
  EXPECT_EQ(answer->tls_min_version, "1.3");
  EXPECT_EQ(answer->tls_cipher_suites, "");
}

TEST(LookupAnswer, MissingKeysAndNullsChangeNothing) {
  for (const auto* config :
       {R"({"heartbeat_timeout": 60})",
        R"({"heartbeat_timeout": 60, "agent_token": null, "agent_md5_checksum_enable": null,
            "permitted_image_formats": null, "agent_skip_bmc_detect": null,
            "tls_min_version": null})"}) {
    const auto answer =
        read_lookup_answer(R"({"node": {"uuid": "u"}, "config": )" + std::string(config) + "}");
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->heartbeat_timeout, std::chrono::seconds(60));
    EXPECT_EQ(answer->token, "");
    EXPECT_FALSE(answer->token_withheld);
    EXPECT_FALSE(answer->md5_allowed);
    EXPECT_FALSE(answer->permitted_formats);
    EXPECT_FALSE(answer->skip_bmc_detection);
    EXPECT_EQ(answer->tls_min_version, "");
  }
}

TEST(LookupAnswer, AnOldOneHasItsTimeoutAtTheTop) {
  const auto answer = read_lookup_answer(R"({"node": {"uuid": "u"}, "heartbeat_timeout": 120})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->heartbeat_timeout, std::chrono::seconds(120));
}

TEST(LookupAnswer, Tokens) {
  const auto with = [](const std::string& token) {
    return read_lookup_answer(
               R"({"node": {"uuid": "u"}, "config": {"heartbeat_timeout": 1, "agent_token": ")" +
               token + R"("}})")
        .value();
  };
  EXPECT_EQ(with(std::string(32, 't')).token, std::string(32, 't'));
  EXPECT_EQ(with(std::string(31, 't')).token, "");
  EXPECT_EQ(with(std::string(5000, 't')).token, "");
  EXPECT_EQ(with("").token, "");
  EXPECT_EQ(with("******").token, "");
  EXPECT_TRUE(with("******").token_withheld);
  EXPECT_FALSE(with("*******").token_withheld);
}

TEST(LookupAnswer, WhatIsNone) {
  for (const auto* body :
       {"", "[]", "not json", "{}", R"({"node": null, "config": {"heartbeat_timeout": 1}})",
        R"({"node": {}, "config": {"heartbeat_timeout": 1}})",
        R"({"node": {"uuid": 7}, "config": {"heartbeat_timeout": 1}})",
        R"({"node": {"uuid": ""}, "config": {"heartbeat_timeout": 1}})",
        R"({"node": {"uuid": "u"}, "config": {}})", R"({"node": {"uuid": "u"}})",
        R"({"node": {"uuid": "u"}, "config": {"heartbeat_timeout": "soon"}})",
        R"({"node": {"uuid": "u"}, "config": {"heartbeat_timeout": 0}})",
        R"({"node": {"uuid": "u"}, "config": {"heartbeat_timeout": -5}})",
        R"({"node": {"uuid": "u"}, "config": {"heartbeat_timeout": 99999999999}})",
        R"({"node": {"uuid": "../v1/nodes"}, "config": {"heartbeat_timeout": 1}})",
        R"({"node": {"uuid": "u?x=y"}, "config": {"heartbeat_timeout": 1}})"}) {
    const auto answer = read_lookup_answer(body);
    ASSERT_FALSE(answer) << body;
    EXPECT_EQ(answer.error().code(), Errc::controller_refused);
  }
}

TEST(ErrorText, InEachOfItsForms) {
  EXPECT_EQ(error_text(R"({"error_message": "{\"faultstring\": \"no node\", \"faultcode\": 1}"})"),
            "no node");
  EXPECT_EQ(error_text(R"({"error_message": {"faultstring": "no node"}})"), "no node");
  EXPECT_EQ(error_text(R"({"faultcode": "Client", "faultstring": "too large"})"), "too large");
  EXPECT_EQ(error_text(R"({"error_message": "in plain words"})"), "in plain words");
  for (const auto* body : {"", "<html>", "[]", "{}", R"({"faultstring": null})",
                           R"({"error_message": null})", R"({"error_message": 5})"})
    EXPECT_EQ(error_text(body), "") << body;
  EXPECT_EQ(error_text("{\"faultstring\": \"a\\u001b[31mb\\nc\"}"), "a?[31mb c");
}

TEST(IronicClient, DiscoversTheVersionOnce) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(200, version_text("1.115")); });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  EXPECT_FALSE(client.version());
  EXPECT_EQ(client.discover({}).value(), (ApiVersion{1, 115}));
  EXPECT_EQ(client.discover({}).value(), (ApiVersion{1, 115}));
  EXPECT_EQ(client.version(), (ApiVersion{1, 115}));
  ASSERT_EQ(ironic.requests().size(), 1U);
  EXPECT_EQ(ironic.requests()[0].method, "GET");
  EXPECT_EQ(ironic.requests()[0].target, "/");
}

TEST(IronicClient, AForcedVersionIsNotAskedFor) {
  AgentOptions made = options({dead_url()});
  made.api_version = "1.50";
  IronicClient client(made);
  EXPECT_EQ(client.discover({}).value(), (ApiVersion{1, 50}));
}

TEST(IronicClient, WhatIsNotIronicHasNoVersion) {
  std::string body;
  unsigned status = 200;
  FakeIronic ironic([&](const auto&, std::size_t) { return says(status, body); });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  for (const auto* text : {"", "<html>", "{}", R"({"default_version": {"version": "new"}})",
                           R"({"default_version": "1.68"})"}) {
    body = text;
    const auto version = client.discover({});
    ASSERT_FALSE(version) << text;
    EXPECT_EQ(version.error().code(), Errc::controller_refused);
  }
  body = version_text("1.68");
  status = 503;
  EXPECT_FALSE(client.discover({}));
  EXPECT_EQ(client.last_status(), 503);
  status = 200;
  EXPECT_TRUE(client.discover({})) << "a failure is not remembered";
}

TEST(IronicClient, LooksUp) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(200, kLookup); });
  const AgentOptions made = options({ironic.url() + "/baremetal"});
  IronicClient client(made);
  const auto answer = client.lookup({"52:54:00:aa:bb:01", "52:54:00:aa:bb:02"}, "", {});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->token, kToken);
  ASSERT_TRUE(client.lookup({"52:54:00:aa:bb:01"}, kUuid, {}));
  const auto asked = ironic.requests();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].target, "/baremetal/v1/lookup?addresses=52:54:00:aa:bb:01,52:54:00:aa:bb:02");
  EXPECT_EQ(asked[1].target, "/baremetal/v1/lookup?addresses=52:54:00:aa:bb:01&node_uuid=" + kUuid);
}

TEST(IronicClient, SaysWhyALookupFailed) {
  unsigned status = 404;
  FakeIronic ironic([&](const auto&, std::size_t) {
    return says(status, R"({"error_message": "{\"faultstring\": \"Node could not be found\"}"})");
  });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  for (const unsigned each : {400U, 403U, 404U, 409U, 500U, 503U}) {
    status = each;
    const auto answer = client.lookup({"52:54:00:aa:bb:01"}, "", {});
    ASSERT_FALSE(answer) << each;
    EXPECT_EQ(answer.error().code(), Errc::controller_refused);
    EXPECT_NE(answer.error().message().find("Node could not be found"), std::string::npos);
    EXPECT_NE(answer.error().message().find(std::to_string(each)), std::string::npos);
    EXPECT_EQ(client.last_status(), each);
  }
  status = 200;
  const auto answer = client.lookup({"52:54:00:aa:bb:01"}, "", {});
  ASSERT_FALSE(answer) << "no node in it";
}

// The body of the heartbeat that a client sends to an API of `version`.
boost::json::object heartbeat_at(const std::string& version, const Heartbeat& heartbeat) {
  FakeIronic ironic([&](const auto& request, std::size_t) {
    return request.method == "GET" ? says(200, version_text(version)) : says(202);
  });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  EXPECT_TRUE(client.discover({}));
  const auto sent = client.heartbeat(kUuid, heartbeat, {});
  EXPECT_TRUE(sent) << sent.error().message();
  const auto asked = ironic.requests();
  EXPECT_EQ(asked.back().method, "POST");
  EXPECT_EQ(asked.back().target, "/v1/heartbeat/" + kUuid);
  return parse_json_object(asked.back().body).value_or(boost::json::object());
}

std::vector<std::string> names(const boost::json::object& object) {
  std::vector<std::string> out;
  for (const auto& member : object) out.emplace_back(member.key());
  std::ranges::sort(out);
  return out;
}

TEST(IronicClient, AHeartbeatHasOnlyWhatTheApiKnows) {
  using Names = std::vector<std::string>;
  const Heartbeat all{"https://192.0.2.7:9999", kToken, "PEM\n", "write: 45 %"};
  EXPECT_EQ(names(heartbeat_at("1.36", all)), (Names{"agent_version", "callback_url"}));
  EXPECT_EQ(names(heartbeat_at("1.61", all)), (Names{"agent_version", "callback_url"}));
  EXPECT_EQ(names(heartbeat_at("1.62", all)),
            (Names{"agent_token", "agent_version", "callback_url"}));
  EXPECT_EQ(names(heartbeat_at("1.67", all)),
            (Names{"agent_token", "agent_version", "callback_url"}));
  EXPECT_EQ(names(heartbeat_at("1.68", all)),
            (Names{"agent_token", "agent_verify_ca", "agent_version", "callback_url"}));
  EXPECT_EQ(names(heartbeat_at("1.71", all)),
            (Names{"agent_token", "agent_verify_ca", "agent_version", "callback_url"}));
  const auto newest = heartbeat_at("1.115", all);
  EXPECT_EQ(names(newest), (Names{"agent_status_message", "agent_token", "agent_verify_ca",
                                  "agent_version", "callback_url"}));
  EXPECT_EQ(string_in(newest, "agent_token"), kToken);
  EXPECT_EQ(string_in(newest, "agent_verify_ca"), "PEM\n");
  EXPECT_EQ(string_in(newest, "callback_url"), "https://192.0.2.7:9999");
  EXPECT_EQ(string_in(newest, "agent_status_message"), "write: 45 %");
  EXPECT_NE(string_in(newest, "agent_version"), "");
}

TEST(IronicClient, WhatAHeartbeatLacksIsLeftOut) {
  const auto body = heartbeat_at("1.115", {"http://192.0.2.7:9999", kToken, "", ""});
  EXPECT_FALSE(body.contains("agent_verify_ca"));
  EXPECT_FALSE(body.contains("agent_status_message"));
  // Bytes of any origin.
  const auto odd = heartbeat_at("1.115", {"u", kToken, "", "\xff"});
  EXPECT_EQ(string_in(odd, "agent_status_message"), "\uFFFD");
}

TEST(IronicClient, Only202TakesAHeartbeat) {
  unsigned status = 202;
  FakeIronic ironic([&](const auto&, std::size_t) { return says(status); });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  EXPECT_TRUE(client.heartbeat(kUuid, {"u", kToken, "", ""}, {}));
  for (const unsigned each : {200U, 201U, 400U, 401U, 404U, 409U, 500U}) {
    status = each;
    const auto sent = client.heartbeat(kUuid, {"u", kToken, "", ""}, {});
    ASSERT_FALSE(sent) << each;
    EXPECT_EQ(sent.error().message().find(kToken), std::string::npos);
  }
}

TEST(IronicClient, RedirectsAreNotFollowed) {
  FakeIronic elsewhere([](const auto&, std::size_t) { return says(202); });
  FakeIronic ironic([&](const auto&, std::size_t) {
    HttpAnswer answer = says(307);
    answer.location = elsewhere.url() + "/v1/heartbeat/" + kUuid;
    return answer;
  });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  EXPECT_FALSE(client.heartbeat(kUuid, {"u", kToken, "", ""}, {}));
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST(IronicClient, TurnsToTheApiThatCanBeReachedAndStaysThere) {
  const std::string dead = dead_url();
  FakeIronic ironic([](const auto&, std::size_t) { return says(200, kLookup); });
  const AgentOptions made = options({dead, ironic.url()});
  IronicClient client(made);
  EXPECT_EQ(client.api_url(), dead);
  ASSERT_TRUE(client.lookup({"52:54:00:aa:bb:01"}, "", {}));
  EXPECT_EQ(client.api_url(), ironic.url());
}

TEST(IronicClient, TurnsToTheNextApiWhereAProxyHasNothingBehindIt) {
  for (const unsigned status : {502U, 503U, 504U}) {
    FakeIronic proxy([&](const auto&, std::size_t) { return says(status); });
    FakeIronic ironic([](const auto&, std::size_t) { return says(200, kLookup); });
    const AgentOptions made = options({proxy.url(), ironic.url()});
    IronicClient client(made);
    ASSERT_TRUE(client.lookup({"52:54:00:aa:bb:01"}, "", {})) << status;
    EXPECT_EQ(client.api_url(), ironic.url());
    EXPECT_EQ(proxy.requests().size(), 1);
    // Where there is no other, that is the answer.
    const AgentOptions alone = options({proxy.url()});
    IronicClient lonely(alone);
    EXPECT_FALSE(lonely.lookup({"52:54:00:aa:bb:01"}, "", {}));
    EXPECT_EQ(lonely.last_status(), status);
  }
}

TEST(IronicClient, ARefusalIsAnAnswer) {
  FakeIronic refusing([](const auto&, std::size_t) { return says(404); });
  FakeIronic other([](const auto&, std::size_t) { return says(200, kLookup); });
  const AgentOptions made = options({refusing.url(), other.url()});
  IronicClient client(made);
  EXPECT_FALSE(client.lookup({"52:54:00:aa:bb:01"}, "", {}));
  EXPECT_TRUE(other.requests().empty());
  EXPECT_EQ(client.api_url(), refusing.url());
}

TEST(IronicClient, NobodyThere) {
  const std::string dead = dead_url();
  const AgentOptions made = options({"http://u:S3CR3T@" + dead.substr(7)});
  IronicClient client(made);
  const auto answer = client.lookup({"52:54:00:aa:bb:01"}, "", {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Errc::controller_unreachable);
  EXPECT_EQ(answer.error().message().find("S3CR3T"), std::string::npos);
  EXPECT_EQ(client.last_status(), 0);
  const AgentOptions none;
  IronicClient lost(none);
  EXPECT_EQ(lost.discover({}).error().code(), Errc::controller_unreachable);
  EXPECT_EQ(lost.api_url(), "");
}

HttpAnswer never() {
  return {.later = [] { return std::optional<HttpAnswer>(); }};
}

TEST(IronicClient, AnApiThatDoesNotAnswerIsGivenUp) {
  FakeIronic ironic([](const auto&, std::size_t) { return never(); });
  AgentOptions made = options({ironic.url()});
  made.http_request_timeout = std::chrono::seconds(1);
  IronicClient client(made);
  const auto answer = client.discover({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Errc::controller_unreachable);
}

TEST(IronicClient, AStopEndsARequest) {
  FakeIronic ironic([](const auto&, std::size_t) { return never(); });
  AgentOptions made = options({ironic.url()});
  made.http_request_timeout = std::chrono::hours(1);
  IronicClient client(made);
  std::stop_source stop;
  std::jthread stopper([&] {
    EXPECT_TRUE(ironic.wait_for(1));
    stop.request_stop();
  });
  const auto answer = client.discover(stop.get_token());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Errc::cancelled);
}

TEST(IronicClient, AnEndlessAnswerIsNotKept) {
  FakeIronic ironic([](const auto&, std::size_t) {
    return says(200, version_text("1.68") + std::string(5U << 20, ' '));
  });
  const AgentOptions made = options({ironic.url()});
  IronicClient client(made);
  EXPECT_FALSE(client.discover({}));
}

TEST(IronicClient, Https) {
  const test::TempDir dir;
  const auto identity = make_tls_identity("127.0.0.1", "ironic");
  ASSERT_TRUE(identity);
  HttpServerOptions tls;
  tls.tls.certificate = identity->certificate;
  tls.tls.private_key = identity->private_key;
  FakeIronic ironic([](const auto&, std::size_t) { return says(200, version_text("1.68")); }, tls);
  AgentOptions made = options({ironic.url()});
  {
    IronicClient client(made);
    const auto version = client.discover({});
    ASSERT_FALSE(version) << "a certificate that nobody vouches for";
    EXPECT_EQ(version.error().code(), Errc::controller_unreachable);
    EXPECT_TRUE(ironic.requests().empty());
  }
  std::ofstream(dir.path("ca.pem")) << identity->certificate;
  made.ca_file = dir.path("ca.pem");
  {
    IronicClient client(made);
    const auto version = client.discover({});
    EXPECT_TRUE(version) << version.error().message();
    client.set_tls("1.3", "");
    EXPECT_TRUE(client.lookup({}, kUuid, {}).error().code() == Errc::controller_refused);
  }
  made.ca_file.clear();
  made.tls_insecure = true;
  IronicClient client(made);
  EXPECT_TRUE(client.discover({}));
}

std::string field(const std::string& head, const std::string& name) {
  const auto at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "(none)";
  const auto from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

TEST(IronicClient, HeaderFields) {
  const std::string body = version_text("1.115");
  test::HeadReceiver ironic("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                            "\r\nConnection: close\r\n\r\n" + body);
  AgentOptions made = options({ironic.url()});
  made.global_request_id = "req-1";
  IronicClient client(made);
  ASSERT_TRUE(client.discover({}));
  EXPECT_FALSE(client.lookup({"52:54:00:aa:bb:01"}, "", {}));
  EXPECT_FALSE(client.heartbeat(kUuid, {"u", kToken, "", ""}, {}));
  ASSERT_TRUE(client.continue_inspection({ironic.url() + "/v1/continue_inspection"}, "{}", {}));
  const auto heads = ironic.heads();
  ASSERT_EQ(heads.size(), 4U);
  const std::string version = "X-OpenStack-Ironic-API-Version";
  EXPECT_EQ(field(heads[0], version), "(none)");
  EXPECT_EQ(field(heads[1], version), "1.62");
  EXPECT_EQ(field(heads[2], version), "1.72");
  EXPECT_EQ(field(heads[3], version), "(none)");
  for (const auto& head : heads) {
    EXPECT_EQ(field(head, "Accept"), "application/json") << head;
    EXPECT_EQ(field(head, "Content-Type"), "application/json") << head;
    EXPECT_EQ(field(head, "X-OpenStack-Request-ID"), "req-1") << head;
    EXPECT_EQ(field(head, "Expect"), "(none)") << head;
    EXPECT_EQ(head.find(kToken), std::string::npos) << head;
  }
}

TEST(IronicClient, InspectionsDataGoToTheFirstThatCanBeReached) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(200, R"({"uuid": "1be26c0b"})"); });
  const AgentOptions made;
  IronicClient client(made);
  const std::string path = "/v1/continue_inspection";
  EXPECT_EQ(
      client.continue_inspection({dead_url() + path, ironic.url() + path}, "{\"a\":1}", {}).value(),
      "1be26c0b");
  ASSERT_EQ(ironic.requests().size(), 1U);
  EXPECT_EQ(ironic.requests()[0].method, "POST");
  EXPECT_EQ(ironic.requests()[0].target, path);
  EXPECT_EQ(ironic.requests()[0].body, "{\"a\":1}");
  EXPECT_FALSE(client.continue_inspection({}, "{}", {}));
  FakeIronic refusing([](const auto&, std::size_t) { return says(404); });
  EXPECT_FALSE(client.continue_inspection({refusing.url() + path}, "{}", {}));
  EXPECT_EQ(client.last_status(), 404);
}

}  // namespace
}  // namespace ingot::agent
