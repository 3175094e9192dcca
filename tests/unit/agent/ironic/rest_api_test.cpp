// The REST API without the network: each route, and each way to be refused.
#include "agent/ironic/rest_api.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>

#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"
#include "tests/unit/agent/ironic/agent_rig.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::AgentRig;
using test::eventually;
using test::kToken;

class Rest : public testing::Test {
 protected:
  Rest() {
    rig_.table.add("standby.sync", {.run = [](const json::object&, const std::stop_token&) {
                     return CommandOutcome("null");
                   }});
    rig_.table.add("standby.fails", {.run = [](const json::object&, const std::stop_token&) {
                     return CommandOutcome(tl::unexpected(failure("CleaningError", "why")));
                   }});
    rig_.table.add(
        "standby.prepare_image",
        {.run = [](const json::object&, const std::stop_token&) { return CommandOutcome("null"); },
         .check = [](const json::object&) -> std::optional<AgentError> {
           return invalid_parameters("no id");
         }});
    rig_.table.add("clean.execute_clean_step",
                   {.kind = Command::Kind::asynchronous,
                    .run = [this](const json::object&, const std::stop_token& stop) {
                      eventually([&] { return released_ || stop.stop_requested(); });
                      return CommandOutcome(R"({"clean_result":null})");
                    }});
  }
  ~Rest() override { released_ = true; }

  void expect_fault(const HttpAnswer& answer, unsigned status, const std::string& text) {
    const auto object = AgentRig::object(answer, status);
    EXPECT_EQ(object.size(), 2U) << answer.body;
    EXPECT_EQ(test::text_of(object),
              json::serialize(json::object{{"faultcode", status >= 500 ? "Server" : "Client"},
                                           {"faultstring", text}}));
    EXPECT_EQ(answer.body.find("agent_token"), std::string::npos);
  }
  HttpAnswer ask(const std::string& method, const std::string& target) {
    return rig_.api.answer({method, target, ""});
  }
  std::string begin() {
    return string_in(
        AgentRig::object(rig_.post(R"({"name": "clean.execute_clean_step", "params": {}})")), "id");
  }

  std::atomic<bool> released_ = false;
  AgentRig rig_;
};

TEST_F(Rest, RootDocument) {
  for (const auto* target : {"/", "/?x=y"}) {
    const auto root = AgentRig::object(ask("GET", target));
    const auto& version = root.at("versions").at(0).as_object();
    EXPECT_EQ(string_in(version, "id"), "v1");
    EXPECT_EQ(json::serialize(version.at("links").at(0)),
              R"({"href":"https://192.0.2.7:9999/v1","rel":"self"})");
    EXPECT_EQ(string_in(*object_in(root, "default_version"), "id"), "v1");
    EXPECT_NE(string_in(root, "name"), "");
    EXPECT_NE(string_in(root, "description"), "");
  }
}

TEST_F(Rest, VersionDocument) {
  const auto version = AgentRig::object(ask("GET", "/v1/"));
  EXPECT_EQ(string_in(version, "id"), "v1");
  for (const std::string name : {"commands", "status"}) {
    const auto& links = version.at(name).as_array();
    ASSERT_EQ(links.size(), 2U);
    EXPECT_EQ(string_in(links[0].as_object(), "href"), "https://192.0.2.7:9999/v1/" + name);
    EXPECT_EQ(string_in(links[0].as_object(), "rel"), "self");
    EXPECT_EQ(string_in(links[1].as_object(), "href"), "https://192.0.2.7:9999/" + name);
    EXPECT_EQ(string_in(links[1].as_object(), "rel"), "bookmark");
  }
  const auto& type = version.at("media_types").at(0).as_object();
  EXPECT_EQ(string_in(type, "base"), "application/json");
  EXPECT_EQ(string_in(type, "type"), "application/vnd.openstack.ironic-python-agent.v1+json");
}

TEST_F(Rest, Status) {
  const double now = static_cast<double>(::time(nullptr));
  for (const auto* target : {"/v1/status", "/status", "/v1/status/"}) {
    const auto status = AgentRig::object(ask("GET", target));
    EXPECT_EQ(status.size(), 2U);
    EXPECT_NEAR(status.at("started_at").as_double(), now, 120);
    EXPECT_NE(string_in(status, "version"), "");
  }
}

TEST_F(Rest, CommandsWithAndWithoutTheVersion) {
  for (const auto* target : {"/v1/commands/", "/commands/"}) {
    EXPECT_EQ(ask("GET", AgentRig::with_token(target)).status, 200U);
    const auto record = AgentRig::object(rig_.api.answer(
        {"POST", AgentRig::with_token(target), R"({"name": "standby.sync", "params": {}})"}));
    const std::string id = string_in(record, "id");
    EXPECT_EQ(string_in(AgentRig::object(ask("GET", AgentRig::with_token(target + id))), "id"), id);
  }
  const auto all = rig_.list();
  EXPECT_EQ(all.size(), 2U);
}

TEST_F(Rest, PathsWithoutTheirSlashAreRedirected) {
  for (const auto& [target, location] :
       {std::pair("/v1", "/v1/"), std::pair("/v1/commands", "/v1/commands/"),
        std::pair("/commands", "/commands/"),
        std::pair("/v1/commands?wait=true&x=/y", "/v1/commands/?wait=true&x=/y")})
    for (const auto* method : {"GET", "POST"}) {
      const HttpAnswer answer = ask(method, target);
      EXPECT_EQ(answer.status, 308U) << target;
      EXPECT_EQ(answer.location, location);
    }
}

TEST_F(Rest, AResultHasFiveMembers) {
  const auto record =
      AgentRig::object(rig_.post(R"({"name": "standby.sync", "params": {"secret": "S3CR3T"}})"));
  EXPECT_EQ(record.size(), 5U);
  EXPECT_EQ(string_in(record, "command_name"), "sync");
  EXPECT_EQ(string_in(record, "command_status"), "SUCCEEDED");
  EXPECT_TRUE(record.at("command_error").is_null());
  EXPECT_TRUE(record.at("command_result").is_null());
  const auto all = rig_.list();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(test::text_of(all[0].as_object()), test::text_of(record));
}

TEST_F(Rest, AFailedCommandIsAnAnswer) {
  const auto record = AgentRig::object(rig_.post(R"({"name": "standby.fails", "params": {}})"));
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "CleaningError");
  EXPECT_EQ(rig_.list().size(), 1U);
}

TEST_F(Rest, TheTokenOfCommands) {
  const std::string body = R"({"name": "standby.sync", "params": {}})";
  for (const std::string target :
       {"/v1/commands/", "/v1/commands/?agent_token=", "/v1/commands/?agent_token=wrong",
        "/v1/commands/?agent_token", "/v1/commands/?token=", "/v1/commands/?Agent_Token="}) {
    expect_fault(rig_.api.answer({"POST", target, body}), 401, "401 Unauthorized: Token invalid.");
    expect_fault(rig_.api.answer({"POST", target, "no json"}), 401,
                 "401 Unauthorized: Token invalid.");
    EXPECT_FALSE(rig_.api.wants_body({"POST", target})) << target;
  }
  expect_fault(
      rig_.api.answer({"POST", "/v1/commands/?agent_token=" + kToken + "&agent_token=no", body}),
      401, "401 Unauthorized: Token invalid.");
  EXPECT_TRUE(rig_.table.records().empty());
  EXPECT_TRUE(rig_.api.wants_body({"POST", AgentRig::with_token("/v1/commands/?wait=true")}));
  EXPECT_EQ(rig_.post(body).status, 200U);
}

// Conductors up to 2023 list commands without one; what they see holds no secrets.
TEST_F(Rest, ListingNeedsTheRightTokenOrNone) {
  const auto id =
      string_in(AgentRig::object(rig_.post(R"({"name": "standby.sync", "params": {}})")), "id");
  for (const std::string& target : {std::string("/v1/commands/"), "/v1/commands/" + id}) {
    EXPECT_EQ(ask("GET", target).status, 200U);
    EXPECT_EQ(ask("GET", AgentRig::with_token(target)).status, 200U);
    for (const auto* wrong : {"?agent_token=", "?agent_token=wrong", "?agent_token=******"})
      expect_fault(ask("GET", target + wrong), 401, "401 Unauthorized: Token invalid.");
  }
}

TEST_F(Rest, WithoutATokenOfItsOwnNoneIsRight) {
  NodeState nobody;
  RestApi api(rig_.table, nobody);
  for (const std::string& target :
       {std::string("/v1/commands/"), std::string("/v1/commands/?agent_token="),
        AgentRig::with_token("/v1/commands/")}) {
    EXPECT_EQ(api.answer({"POST", target, R"({"name": "standby.sync", "params": {}})"}).status,
              401U);
    EXPECT_FALSE(api.wants_body({"POST", target}));
  }
}

TEST_F(Rest, BodiesAreWantedOfCommandsOnly) {
  for (const auto& [method, target] :
       {std::pair("GET", "/v1/commands/"), std::pair("PUT", "/v1/commands/"),
        std::pair("POST", "/v1/commands"), std::pair("POST", "/v1/commands/id"),
        std::pair("POST", "/"), std::pair("POST", "/v1/status"), std::pair("POST", "/none"),
        std::pair("POST", "nonsense")})
    EXPECT_FALSE(rig_.api.wants_body({method, AgentRig::with_token(target)})) << target;
}

TEST_F(Rest, UnknownPaths) {
  for (const auto* target : {"/none", "/v2/", "/v1/none", "/v1/commands/a/b", "/v1/status/x", "//",
                             "//v1/", "/V1/", "/v1/v1/", "/v1/commands/a/", "/%2e%2e/etc"})
    expect_fault(ask("GET", target), 404,
                 "404 Not Found: The requested URL was not found on the server.");
}

TEST_F(Rest, MalformedPaths) {
  for (const auto* target : {"", "nonsense", "http://host/", "*", "/a b", "/%zz", "/\xff"})
    expect_fault(ask("GET", target), 400, "400 Bad Request: the path is malformed.");
}

TEST_F(Rest, WrongVerbs) {
  const std::string text =
      "405 Method Not Allowed: The method is not allowed for the requested URL.";
  for (const auto* method : {"POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "get", ""})
    for (const auto* target : {"/", "/v1/", "/v1/status", "/v1/commands/id"}) {
      const HttpAnswer answer = ask(method, AgentRig::with_token(target));
      expect_fault(answer, 405, text);
      EXPECT_EQ(answer.allow, "GET");
    }
  const HttpAnswer answer = ask("DELETE", AgentRig::with_token("/v1/commands/"));
  expect_fault(answer, 405, text);
  EXPECT_EQ(answer.allow, "GET, POST");
}

TEST_F(Rest, BodiesThatAreNoCommand) {
  for (const auto* body : {"", "no json", "[]", "5", "null", "{", "{\"name\": \"a.b\""})
    expect_fault(rig_.post(body), 400, "400 Bad Request: The body is no JSON object.");
  for (const auto* body :
       {"{}", R"({"name": "standby.sync"})", R"({"params": {}})", R"({"name": "", "params": {}})",
        R"({"name": 5, "params": {}})", R"({"name": "standby.sync", "params": null})",
        R"({"name": "standby.sync", "params": []})", R"({"name": "standby.sync", "params": "x"})"})
    expect_fault(rig_.post(body), 400, "400 Bad Request: Missing or invalid name or params");
}

TEST_F(Rest, CommandsThatAreNone) {
  const auto named = [&](const std::string& name) {
    return rig_.post(R"({"name": ")" + name + R"(", "params": {}})");
  };
  expect_fault(named("sync"), 400,
               "Invalid command: Command name must be of the form <extension>.<name>");
  expect_fault(named("standby.frobnicate"), 400, "Invalid command: Unknown command: frobnicate");
  expect_fault(named("foo.sync"), 404, "Not found: Extension with id foo not found.");
  expect_fault(named("standby.prepare_image"), 400, "Invalid command parameters: no id");
  EXPECT_TRUE(rig_.list().empty());
}

TEST_F(Rest, Busy) {
  begin();
  for (const auto* name : {"clean.execute_clean_step", "standby.sync"})
    expect_fault(rig_.post(R"({"name": ")" + std::string(name) + R"(", "params": {}})"), 409,
                 "Agent is busy: executing command execute_clean_step");
  EXPECT_EQ(rig_.list().size(), 1U);
  EXPECT_EQ(string_in(rig_.list()[0].as_object(), "command_status"), "RUNNING");
}

TEST_F(Rest, UnknownResults) {
  expect_fault(ask("GET", AgentRig::with_token("/v1/commands/none")), 404,
               "Not found: Command Result with id none not found.");
  expect_fault(ask("GET", AgentRig::with_token("/v1/commands/none?wait=true")), 404,
               "Not found: Command Result with id none not found.");
}

TEST_F(Rest, WaitIsAnsweredAtTheEnd) {
  for (const std::string query : {"wait=true", "wait=True", "wait=TRUE"}) {
    released_ = false;
    const HttpAnswer answer =
        rig_.post(R"({"name": "clean.execute_clean_step", "params": {}})", query);
    ASSERT_TRUE(answer.later) << query;
    EXPECT_FALSE(answer.later()) << "it runs";
    const std::string id = string_in(rig_.list().back().as_object(), "id");
    const HttpAnswer shown = ask("GET", AgentRig::with_token("/v1/commands/" + id + "?" + query));
    ASSERT_TRUE(shown.later);
    EXPECT_FALSE(shown.later());
    released_ = true;
    for (const HttpAnswer& waiting : {answer, shown}) {
      std::optional<HttpAnswer> end;
      EXPECT_TRUE(eventually([&] { return (end = waiting.later()).has_value(); }));
      ASSERT_TRUE(end);
      const auto record = AgentRig::object(*end);
      EXPECT_EQ(string_in(record, "id"), id);
      EXPECT_EQ(string_in(record, "command_status"), "SUCCEEDED");
    }
  }
}

// Whoever comes by could keep every connection until the command ends.
TEST_F(Rest, StrangersDoNotWait) {
  rig_.post(R"({"name": "clean.execute_clean_step", "params": {}})");
  const std::string id = string_in(rig_.list().back().as_object(), "id");
  const HttpAnswer answer = ask("GET", "/v1/commands/" + id + "?wait=true");
  EXPECT_FALSE(answer.later);
  EXPECT_EQ(string_in(AgentRig::object(answer), "command_status"), "RUNNING");
  released_ = true;
}

TEST_F(Rest, AnythingElseIsNoWait) {
  for (const auto* query : {"wait=false", "wait=1", "wait=yes", "wait=", "wait", "x=y", "Wait=true",
                            "wait=true&wait=false", "wait=truex"}) {
    released_ = false;
    const HttpAnswer answer =
        rig_.post(R"({"name": "clean.execute_clean_step", "params": {}})", query);
    EXPECT_FALSE(answer.later) << query;
    EXPECT_EQ(string_in(AgentRig::object(answer), "command_status"), "RUNNING");
    released_ = true;
    EXPECT_TRUE(eventually([&] {
      return string_in(rig_.list().back().as_object(), "command_status") == "SUCCEEDED";
    }));
  }
}

TEST_F(Rest, TheListTellsTheProgress) {
  const auto id = begin();
  const auto watch = std::make_shared<JobWatch>("erase_devices");
  rig_.node.set_job(watch);
  const auto record = rig_.list()[0].as_object();
  const json::object* result = object_in(record, "command_result");
  ASSERT_NE(result, nullptr);
  ASSERT_NE(object_in(*result, "progress"), nullptr);
  EXPECT_EQ(string_in(*object_in(*result, "progress"), "phase"), "connect");
  rig_.node.set_job(nullptr);
  EXPECT_TRUE(rig_.list()[0].as_object().at("command_result").is_null());
  EXPECT_EQ(string_in(rig_.list()[0].as_object(), "id"), id);
}

TEST_F(Rest, MetricsTellHowFarTheJobIs) {
  const auto metrics = [this] {
    const HttpAnswer answer = ask("GET", "/metrics");
    EXPECT_EQ(answer.status, 200U);
    EXPECT_EQ(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    return answer.body;
  };
  const auto has = [](const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
  };
  EXPECT_TRUE(has(metrics(), "ingot_job_running 0"));
  EXPECT_TRUE(has(metrics(), "ingot_agent_commands{status=\"running\"} 0"));
  begin();
  const auto watch = std::make_shared<JobWatch>("write_image");
  watch->counters().bytes_received = 4096;
  watch->on_phase(Phase::write);
  rig_.node.set_job(watch);
  const std::string text = metrics();
  EXPECT_TRUE(has(text, "ingot_job_running 1"));
  EXPECT_TRUE(has(text, "ingot_job_phase{phase=\"write\"} 1"));
  EXPECT_TRUE(has(text, "ingot_job_received_bytes 4096"));
  EXPECT_TRUE(has(text, "ingot_agent_commands{status=\"running\"} 1"));
  rig_.node.set_job(nullptr);
  EXPECT_EQ(ask("POST", "/metrics").status, 405U);
  EXPECT_EQ(ask("GET", "/v1/metrics").status, 404U);
}

TEST_F(Rest, ErrorsOfTheServerItself) {
  for (const unsigned status : {400U, 408U, 413U, 431U}) {
    const auto object = AgentRig::object({.body = rig_.api.error_body(status, "what \xff")});
    EXPECT_EQ(string_in(object, "faultcode"), "Client");
    EXPECT_EQ(string_in(object, "faultstring"), "what \uFFFD");
  }
  const auto object = AgentRig::object({.body = rig_.api.error_body(503, "")});
  EXPECT_EQ(string_in(object, "faultcode"), "Server");
  EXPECT_TRUE(object.at("faultstring").is_string());
}

TEST_F(Rest, OverTheNetwork) {
  const auto server = test::start(rig_.api);
  ASSERT_TRUE(server);
  test::RawClient client(server->port());
  const auto listed = client.ask(test::get("/v1/commands/"));
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->status, 200);
  EXPECT_EQ(listed->body, R"({"commands":[]})");
  EXPECT_EQ(listed->field("Content-Type"), "application/json");
  released_ = true;
  const auto waited =
      client.ask(test::post(AgentRig::with_token("/v1/commands/?wait=true"),
                            R"({"name": "clean.execute_clean_step", "params": {}})"));
  ASSERT_TRUE(waited);
  EXPECT_EQ(waited->status, 200);
  EXPECT_NE(waited->body.find("SUCCEEDED"), std::string::npos) << waited->body;
  const auto refused = client.ask(test::get("/v1/commands"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 308);
  EXPECT_EQ(refused->field("Location"), "/v1/commands/");
}

}  // namespace
}  // namespace ingot::agent
