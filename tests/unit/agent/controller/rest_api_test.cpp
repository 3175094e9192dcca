// The API as a handler: what is answered, to whom, and what is not. The real server with it:
// tests/integration/test_controller.py.
#include "agent/controller/rest_api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "agent/controller/documents.hpp"
#include "agent/controller/stream.hpp"
#include "tests/unit/agent/controller/controller_rig.hpp"

namespace ingot::agent {
namespace {

using namespace std::chrono_literals;
using test::cloud_event;
using test::kDeployment;
using test::kOtherDeployment;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kType = "application/cloudevents+json; charset=UTF-8";
const std::string kSucceeded = R"(,"status":"succeeded","disk_state":"complete")";

class RestApiTest : public testing::Test {
 protected:
  RestApiTest() {
    dir_.write("c/noble.yaml", test::kNoble);
    dir_.write("m/a.yaml", test::machine_manifest("node-1", "    ingot.io/serial-number: SN1\n"));
    dir_.write("m/b.yaml", test::machine_manifest("node-2",
                                                  "    ingot.io/serial-number: SN2\n"
                                                  "    ingot.io/reinstall: always\n"));
    dir_.write("m/c.yaml",
               "apiVersion: management.loft.sh/v1\nkind: Machine\n"
               "metadata: {name: node-3}\n"
               "spec: {properties: {vcluster.com/os-image: nobel}}\n");
    auto store = Store::open({.path = dir_ / "s.db", .same_body = same_json});
    if (!store) throw std::runtime_error(store.error().message());
    store_ = *std::move(store);
    auto site = LiveSite::open({.catalog = open_live_catalog(dir_ / "c", {}, {}).value(),
                                .machines = dir_ / "m",
                                .look_every = 20ms},
                               [this](const Site& now) {
                                 std::vector<std::string> names;
                                 for (const auto& machine : now.manifests.machines)
                                   names.push_back(machine.name);
                                 return fleet_.set_machines(names, *store_);
                               });
    if (!site) throw std::runtime_error(site.error().message());
    site_ = *std::move(site);
    api_ = std::make_unique<RestApi>(*store_, fleet_, *site_, metrics_);
  }

  HttpAnswer ask(HttpRequest request) {
    // What has a body is answered with it only if it is wanted.
    if (!api_->wants_body(request)) request.body = {};
    HttpAnswer answer = api_->answer(request);
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (answer.later && std::chrono::steady_clock::now() < end) {
      if (auto next = answer.later())
        answer = *std::move(next);
      else
        std::this_thread::sleep_for(1ms);
    }
    return answer;
  }
  HttpAnswer get(const std::string& target, const std::string& token = {}) {
    return ask({.method = "GET", .target = target, .authorization = token});
  }
  HttpAnswer post(const std::string& target, const std::string& body = {},
                  const std::string& token = {}) {
    return ask({.method = "POST",
                .target = target,
                .body = body,
                .authorization = token,
                .content_type = kType});
  }
  unsigned report(const std::string& target, const std::string& id, int seq,
                  const std::string& type, const std::string& more = {}) {
    return post(target, cloud_event(id, seq, type, more)).status;
  }
  // Where a machine is told to report.
  std::string report_url(const std::string& query) {
    const HttpAnswer answer = get("/v1/provision?" + query);
    EXPECT_EQ(answer.status, 200U) << answer.body;
    const auto request = parse_deploy_request(answer.body, "answer");
    EXPECT_TRUE(request) << request.error().message();
    return request ? "/v1/" + request->report_url : "";
  }

  test::Directory dir_;
  Fleet fleet_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<LiveSite> site_;
  Metrics metrics_;
  std::unique_ptr<RestApi> api_;
};

TEST_F(RestApiTest, AMachineIsInstalledOnceAndAgainWhenThereIsAReason) {
  std::string url = report_url("mac=&serial=SN1");
  EXPECT_THAT(url, testing::StartsWith("/v1/machines/node-1/events?request="));
  EXPECT_EQ(report(url, kDeployment, 0, "started"), 200U);
  EXPECT_EQ(get("/v1/provision?serial=SN1").status, 200U) << "it may have died";
  EXPECT_EQ(report(url, kDeployment, 1, "result", kSucceeded), 200U);
  EXPECT_EQ(get("/v1/provision?serial=SN1").status, 204U);
  EXPECT_THAT(get("/v1/machines/node-1").body,
              AllOf(HasSubstr(R"("installed":true)"), HasSubstr(R"("reinstall":null)")));
  // Somebody orders it.
  const HttpAnswer ordered = post("/v1/machines/node-1/reinstall");
  EXPECT_EQ(ordered.status, 200U);
  EXPECT_THAT(ordered.body,
              AllOf(HasSubstr(R"("installed":false)"), HasSubstr(R"("reinstall":"once")")));
  url = report_url("name=node-1");
  EXPECT_EQ(report(url, kOtherDeployment, 0, "result", kSucceeded), 200U);
  EXPECT_EQ(get("/v1/provision?serial=SN1").status, 204U);
  // Its manifest changes.
  dir_.write("m/a.yaml", test::machine_manifest("node-1",
                                                "    ingot.io/serial-number: SN1\n"
                                                "    ingot.io/on-success: poweroff\n"));
  for (int i = 0; i < 500 && get("/v1/provision?serial=SN1").status == 204; ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(get("/v1/provision?serial=SN1").status, 200U);
}

TEST_F(RestApiTest, AMachineThatAlwaysReinstallsDoes) {
  const std::string url = report_url("serial=SN2");
  EXPECT_EQ(report(url, kDeployment, 0, "result", kSucceeded), 200U);
  EXPECT_EQ(get("/v1/provision?serial=SN2").status, 200U);
}

TEST_F(RestApiTest, WhoCannotBeServedIsToldWhy) {
  EXPECT_EQ(get("/v1/provision").status, 400U);
  EXPECT_EQ(get("/v1/provision?serial=unknown").status, 404U);
  EXPECT_THAT(get("/v1/provision?serial=SN1&name=node-2").body,
              AllOf(HasSubstr("ambiguous"), HasSubstr("node-1"), HasSubstr("node-2")));
  const HttpAnswer unresolved = get("/v1/provision?name=node-3");
  EXPECT_EQ(unresolved.status, 422U);
  EXPECT_THAT(unresolved.body, AllOf(HasSubstr("usage.manifest"), HasSubstr("nobel")));
  EXPECT_THAT(get("/v1/machines/node-3").body, HasSubstr(R"("problem":{"code":"usage.manifest")"));
}

TEST_F(RestApiTest, EventsAreStoredOnceAndOnlyOfMachinesThatThereAre) {
  const std::string url = "/v1/machines/node-1/events";
  EXPECT_EQ(post(url, cloud_event(kDeployment, 0, "started")).body, R"({"stored":true})");
  EXPECT_EQ(post(url, cloud_event(kDeployment, 0, "started")).body, R"({"stored":false})");
  EXPECT_EQ(report(url, kDeployment, 0, "note"), 409U);
  EXPECT_EQ(report("/v1/machines/node-2/events", kDeployment, 1, "note"), 409U);
  EXPECT_EQ(report("/v1/machines/node-9/events", kDeployment, 1, "note"), 404U);
  EXPECT_EQ(post(url, "{}").status, 400U);
  EXPECT_EQ(post(url + "?request=../x", cloud_event(kDeployment, 1, "note")).status, 400U);
  EXPECT_EQ(ask({.method = "POST", .target = url, .content_type = "application/json"}).status,
            415U);
  EXPECT_THAT(get("/metrics").body,
              AllOf(HasSubstr("ingot_controller_events_total{outcome=\"stored\"} 1\n"),
                    HasSubstr("ingot_controller_events_total{outcome=\"duplicate\"} 1\n"),
                    HasSubstr("ingot_controller_events_total{outcome=\"conflict\"} 2\n"),
                    HasSubstr("ingot_controller_machines{phase=\"started\"} 1\n"),
                    HasSubstr("route=\"machine-events\",code=\"409\"} 2\n")));
}

TEST_F(RestApiTest, HistoryIsReadPageByPage) {
  const std::string url = "/v1/machines/node-1/events";
  for (int seq = 0; seq < 3; ++seq) report(url, kDeployment, seq, "note", R"(,"text":"x")");
  EXPECT_THAT(get("/v1/machines/node-1/deployments").body,
              AllOf(HasSubstr(kDeployment), HasSubstr(R"("next":null)")));
  EXPECT_THAT(get("/v1/deployments/" + kDeployment).body, HasSubstr(R"("status":"running")"));
  EXPECT_EQ(
      get("/v1/deployments/" + kDeployment + "/events?after=1").body,
      "{\"events\":[" + cloud_event(kDeployment, 2, "note", R"(,"text":"x")") + "],\"next\":null}");
  EXPECT_EQ(get("/v1/deployments/" + kDeployment + "/events?after=x").status, 400U);
  EXPECT_EQ(get("/v1/deployments/" + kDeployment + "/events?after=9").status, 200U);
  EXPECT_EQ(get("/v1/deployments/" + kOtherDeployment + "/events").status, 404U);
  EXPECT_EQ(get("/v1/deployments/x'%20OR%201=1").status, 404U);
  EXPECT_EQ(get("/v1/machines/node-9/deployments").status, 404U);
}

TEST_F(RestApiTest, TellsNoSecrets) {
  for (const char* target : {"/v1/osimages", "/v1/machines", "/v1/machines/node-1"})
    EXPECT_THAT(get(target).body, Not(HasSubstr("secret"))) << target;
  EXPECT_THAT(get("/v1/osimages").body,
              AllOf(HasSubstr(R"("users":["*"])"), HasSubstr(R"("machines":["node-1","node-2"])")));
}

TEST_F(RestApiTest, WithTokensEachMayDoItsOwn) {
  const std::string one = "Bearer 0123456789abcdef", page = "Bearer page-token-page-token";
  auto tokens = Tokens::load(dir_.write("t", "node-1 0123456789abcdef\nnode-2 fedcba9876543210\n"),
                             dir_.write("p", "page-token-page-token\n"));
  ASSERT_TRUE(tokens);
  api_->set_tokens(std::make_shared<const Tokens>(*std::move(tokens)));
  const std::string events = "/v1/machines/node-1/events";
  const std::string body = cloud_event(kDeployment, 0, "started");
  EXPECT_EQ(get("/v1/provision?serial=SN1").status, 401U);
  EXPECT_EQ(get("/v1/provision?serial=SN1", page).status, 401U);
  EXPECT_EQ(get("/v1/provision?serial=SN2", one).status, 403U);
  EXPECT_THAT(get("/v1/provision?serial=SN1", one).body,
              HasSubstr(R"("token": "0123456789abcdef")"));
  const HttpRequest stranger{.method = "POST", .target = events, .content_type = kType};
  EXPECT_FALSE(api_->wants_body(stranger)) << "a stranger's body is not read";
  EXPECT_EQ(post(events, body).status, 401U);
  EXPECT_EQ(post(events, body, "Bearer fedcba9876543210").status, 403U);
  EXPECT_EQ(post(events, body, page).status, 401U);
  EXPECT_EQ(post(events, body, one).status, 200U);
  for (const char* target :
       {"/v1/machines", "/v1/machines/node-1", "/v1/machines/node-1/deployments", "/v1/osimages",
        "/v1/deployments/0b7c0b7c-0000-4000-8000-000000000001", "/v1/stream", "/metrics"}) {
    EXPECT_EQ(get(target).status, 401U) << target;
    EXPECT_EQ(get(target, one).status, 401U) << target;
    const HttpAnswer answer = get(target, page);
    EXPECT_EQ(answer.status, 200U) << target;
    EXPECT_THAT(answer.body, Not(HasSubstr("0123456789abcdef"))) << target;
  }
  EXPECT_EQ(post("/v1/machines/node-1/reinstall", "", one).status, 401U);
  EXPECT_EQ(post("/v1/machines/node-1/reinstall", "", page).status, 200U);
  EXPECT_EQ(get("/healthz").status, 200U);
  EXPECT_EQ(get("/").status, 200U);
}

TEST_F(RestApiTest, MethodsPathsAndOrigins) {
  EXPECT_EQ(get("/v1/nothing").status, 404U);
  EXPECT_EQ(get("/v1/machines/").status, 404U);
  EXPECT_EQ(get("not a path").status, 400U);
  const HttpAnswer wrong = get("/v1/machines/node-1/reinstall");
  EXPECT_EQ(wrong.status, 405U);
  EXPECT_EQ(wrong.allow, "POST");
  EXPECT_EQ(post("/v1/machines").status, 405U);
  const auto from = [this](const std::string& origin) {
    return ask({.method = "POST",
                .target = "/v1/machines/node-1/reinstall",
                .host = "lab:8080",
                .origin = origin})
        .status;
  };
  EXPECT_EQ(from("http://evil.example"), 403U);
  EXPECT_EQ(from("null"), 403U);
  EXPECT_EQ(from("http://lab:8080"), 200U);
}

TEST_F(RestApiTest, ThePageIsServedWithItsPolicy) {
  const HttpAnswer page = get("/");
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<!doctype html>"));
  std::string tag, policy;
  for (const auto& [name, value] : page.fields) {
    if (name == "ETag") tag = value;
    if (name == "Content-Security-Policy") policy = value;
  }
  EXPECT_THAT(policy, AllOf(HasSubstr("default-src 'none'"), Not(HasSubstr("unsafe"))));
  EXPECT_THAT(get("/app.js").content_type, HasSubstr("javascript"));
  const HttpAnswer again = ask({.method = "GET", .target = "/", .if_none_match = tag});
  EXPECT_EQ(again.status, 304U);
  EXPECT_EQ(again.body, "");
}

TEST_F(RestApiTest, AStreamTellsAllAtFirstAndThenWhatChanges) {
  auto now = EventStream::Clock::now();
  EventStream stream(fleet_, *site_, "p", "");
  const std::string first = stream.next(now);
  EXPECT_THAT(first, AllOf(HasSubstr("event: fleet\ndata: {\"machines\":[\"node-1\",\"node-2\","),
                           HasSubstr("\"name\":\"node-2\"")));
  EXPECT_EQ(stream.next(now += 1s), "");
  report("/v1/machines/node-1/events", kDeployment, 0, "started");
  EXPECT_EQ(stream.next(now += 10ms), "") << "not more often than a person sees";
  const std::string second = stream.next(now += 1s);
  EXPECT_THAT(second, AllOf(HasSubstr("event: machine\nid: p-"), HasSubstr(kDeployment),
                            Not(HasSubstr("\"name\":\"node-2\""))));
  EXPECT_THAT(stream.next(now += 20s), testing::StartsWith(": "));
  // One that comes back.
  const auto id = second.substr(second.find("id: ") + 4,
                                second.find("\ndata: {\"name") - second.find("id: ") - 4);
  EXPECT_THAT(EventStream(fleet_, *site_, "p", id).next(now), Not(HasSubstr("event: machine")));
  for (const std::string other : {"q-1", "p-999999", "p-x", "-", "p-"})
    EXPECT_THAT(EventStream(fleet_, *site_, "p", other).next(now), HasSubstr("event: machine"))
        << other;
  // Machines come and go.
  dir_.write("m/c.yaml", test::machine_manifest("node-4", ""));
  for (int i = 0; i < 500 && !fleet_.knows("node-4"); ++i) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(100ms);
  EXPECT_THAT(stream.next(now += 1s), AllOf(HasSubstr("[\"node-1\",\"node-2\",\"node-4\"]"),
                                            HasSubstr("\"name\":\"node-4\"")));
}

TEST_F(RestApiTest, ANameThatAnybodyCanLetLeadHereOpensNothing) {
  api_->set_loopback_only();
  const auto status = [this](const std::string& host, const std::string& method,
                             const std::string& target, const std::string& token = {}) {
    return ask({.method = method, .target = target, .authorization = token, .host = host}).status;
  };
  for (const char* host :
       {"evil.example:8080", "127.0.0.1.evil.example", "EVIL.example", "1.2.3.4."})
    for (const char* target :
         {"/v1/provision?serial=SN1", "/v1/machines", "/v1/stream", "/metrics"})
      EXPECT_EQ(status(host, "GET", target), 403U) << host << target;
  EXPECT_EQ(status("evil.example", "POST", "/v1/machines/node-1/reinstall"), 403U);
  EXPECT_EQ(status("evil.example", "GET", "/healthz"), 200U);
  for (const char* host : {"127.0.0.1:8080", "[::1]:8080", "localhost", "lab:8080", ""})
    EXPECT_EQ(status(host, "GET", "/v1/machines"), 200U) << host;
  // Who has a token is no page of somebody else.
  const auto tokens =
      Tokens::load({}, dir_.write("page", std::string("page-token-page-token") + "\n"));
  ASSERT_TRUE(tokens) << tokens.error().message();
  api_->set_tokens(std::make_shared<const Tokens>(*tokens));
  EXPECT_EQ(status("lab.example", "GET", "/v1/machines", "Bearer page-token-page-token"), 200U);
  EXPECT_EQ(status("lab.example", "GET", "/v1/provision?serial=SN1"), 403U);
}

TEST_F(RestApiTest, HalfOfWhatSomebodyWritesIsNotTaken) {
  const std::string first = test::machine_manifest("node-1", "    ingot.io/serial-number: SN1\n");
  std::ofstream file(dir_ / "m/a.yaml");  // empties it
  file << first << std::flush;
  std::this_thread::sleep_for(200ms);
  file << "---\n" << test::machine_manifest("node-1b", "") << std::flush;
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(fleet_.knows("node-1b"));
  EXPECT_EQ(get("/healthz").body, R"({"status":"ok"})");
  file.close();
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!fleet_.knows("node-1b") && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(fleet_.knows("node-1b"));
}

TEST_F(RestApiTest, AStreamEndsWhenOtherTokensCount) {
  const HttpAnswer answer = get("/v1/stream");
  ASSERT_TRUE(answer.more);
  EXPECT_THAT(answer.more().value_or(""), HasSubstr("event: fleet"));
  EXPECT_EQ(answer.more(), "");
  api_->set_tokens(std::make_shared<const Tokens>());
  EXPECT_EQ(answer.more(), std::nullopt);
}

}  // namespace
}  // namespace ingot::agent
