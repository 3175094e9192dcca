// Where an agent that is right in itself still fails with a real conductor: one test for each such
// place, by its number in the list of pitfalls of the agent protocol. Those of disks and images are
// in pitfalls_disk_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <fstream>
#include <thread>

#include "agent/http/tls_identity.hpp"
#include "agent/ironic/heartbeats.hpp"
#include "agent/ironic/identity_store.hpp"
#include "agent/ironic/inspection_body.hpp"
#include "agent/ironic/steps.hpp"
#include "agent/machine/host.hpp"
#include "tests/support/command.hpp"
#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"
#include "tests/unit/agent/ironic/agent_rig.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"
#include "tests/unit/agent/ironic/head_receiver.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::AgentRig;
using test::eventually;
using test::FakeIronic;
using test::kToken;

// A step that waits until it is released.
struct Waiting {
  std::atomic<bool> released = false;
  AgentRig rig;

  Waiting() {
    std::vector<Step> steps;
    steps.push_back({.name = "waits",
                     .clean = 0,
                     .deploy = 0,
                     .service = 0,
                     .run = [this](const StepCall& call) {
                       eventually([&] { return released || call.stop.stop_requested(); });
                       return CommandOutcome("null");
                     }});
    steps.push_back({.name = "fails", .clean = 0, .deploy = 0, .run = [](const StepCall&) {
                       return CommandOutcome(tl::unexpected(failure("TypeError", "why")));
                     }});
    add_step_commands(rig.table, std::move(steps), rig.node);
  }
  ~Waiting() {
    released = true;
    rig.table.finish();
  }
  static std::string order(const std::string& kind, const std::string& step) {
    return R"({"name": ")" + kind + ".execute_" + kind +
           R"(_step", "params": {"step": {"step": ")" + step + R"(", "interface": "deploy"}}})";
  }
};

LookupAnswer lookup_answer(const std::string& config) {
  const auto answer = read_lookup_answer(
      R"({"node": {"uuid": "1be26c0b"}, "config": {"heartbeat_timeout": 300, )" + config + "}}");
  EXPECT_TRUE(answer);
  return answer.value_or(LookupAnswer{});
}

// The conductor refuses callback URLs without https, and speaks TLS 1.3 only.
TEST(Pitfall, N01TheConductorSpeaksTls13Only) {
  const auto identity = make_tls_identity("127.0.0.1", "agent");
  ASSERT_TRUE(identity);
  Waiting agent;
  HttpServerOptions options;
  options.tls.certificate = identity->certificate;
  options.tls.private_key = identity->private_key;
  options.tls.min_version = "1.3";
  const auto server = test::start(agent.rig.api, options);
  ASSERT_TRUE(server);
  EXPECT_TRUE(url_of("https", "127.0.0.1", server->port()).starts_with("https://127.0.0.1:"));
  test::RawClient conductor(server->port());
  ASSERT_TRUE(
      conductor.start_tls(TLS1_3_VERSION, TLS1_3_VERSION, identity->certificate, "127.0.0.1"));
  const auto answer =
      conductor.ask(test::post(AgentRig::with_token("/v1/commands/?wait=true"),
                               R"({"name": "clean.get_clean_steps", "params": {}})"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

// Any change of certificate, URL or token is refused until the node is rebooted.
TEST(Pitfall, N03CertificateUrlAndTokenStayTheSame) {
  const test::TempDir dir;
  FakeIronic ironic([](const auto&, std::size_t) { return HttpAnswer{.status = 202}; });
  AgentOptions options;
  options.api_urls = {ironic.url()};
  options.api_version = "1.115";
  const auto made = make_tls_identity("192.0.2.7", "agent");
  ASSERT_TRUE(made);
  ASSERT_TRUE(IdentityStore(dir.path("run")).save(*made));
  ASSERT_TRUE(IdentityStore(dir.path("run")).save(SavedToken{"1be26c0b", kToken}));
  for (std::size_t life = 0; life < 2; ++life) {
    const IdentityStore store(dir.path("run"));
    const auto identity = store.tls();
    ASSERT_TRUE(identity);
    ASSERT_TRUE(suits(*identity, "192.0.2.7"));
    NodeState node;
    node.adopt(lookup_answer(R"("agent_token": "******")"));
    node.set_token(store.token().value().token);
    IronicClient client(options);
    Heartbeats heartbeats(client, node, "https://192.0.2.7:9999", identity->certificate, seconds(1),
                          {.least = 0.001, .most = 0.01});
    ASSERT_TRUE(ironic.wait_for((life + 1) * 5));
  }
  const auto requests = ironic.requests();
  for (const auto& request : requests) EXPECT_EQ(request.body, requests.front().body);
  EXPECT_NE(requests.front().body.find("BEGIN CERTIFICATE"), std::string::npos);
}

// A second lookup gives "******".
TEST(Pitfall, N04TheTokenIsHandedOutOnce) {
  NodeState node;
  node.adopt(lookup_answer(R"("agent_token": ")" + kToken + R"(")"));
  const auto again = lookup_answer(R"("agent_token": "******")");
  EXPECT_TRUE(again.token_withheld);
  node.adopt(again);
  EXPECT_EQ(node.token(), kToken);
  EXPECT_FALSE(node.is_token("******"));
}

// The conductor never finds a dotted name.
TEST(Pitfall, N05CommandNamesAreShort) {
  Waiting agent;
  agent.released = true;
  agent.rig.run("clean.get_clean_steps", {});
  agent.rig.step("deploy", "waits", {}, {});
  agent.rig.step("deploy", "fails", {}, {});
  agent.rig.table.add("x.throws",
                      {.run = [](const json::object&, const std::stop_token&) -> CommandOutcome {
                        throw std::runtime_error("x");
                      }});
  agent.rig.run("x.throws", {});
  std::vector<std::string> names;
  for (const auto& record : agent.rig.list())
    names.push_back(string_in(record.as_object(), "command_name"));
  EXPECT_EQ(names, (std::vector<std::string>{"get_clean_steps", "execute_deploy_step",
                                             "execute_deploy_step", "throws"}));
}

TEST(Pitfall, N06ResultsHaveNoParameters) {
  Waiting agent;
  agent.released = true;
  const auto record = agent.rig.step("deploy", "waits", {{"x", "S3CR3T-PARAMETER"}}, {});
  EXPECT_EQ(record.size(), 5U);
  EXPECT_FALSE(record.contains("command_params"));
}

TEST(Pitfall, N07AFailedCommandIsHttp200) {
  Waiting agent;
  const auto begun = AgentRig::object(agent.rig.post(Waiting::order("clean", "fails")), 200);
  const std::string id = string_in(begun, "id");
  EXPECT_TRUE(eventually([&] {
    const auto shown = AgentRig::object(agent.rig.get(AgentRig::with_token("/v1/commands/" + id)));
    return string_in(shown, "command_status") == "FAILED";
  }));
  EXPECT_TRUE(agent.rig.list()[0].as_object().at("command_error").is_object());
}

// The conductor looks into faultstring without asking what it is.
TEST(Pitfall, N08EachRefusalHasItsStatusAndText) {
  Waiting agent;
  const auto refused = [&](const std::string& name, unsigned status) {
    const auto fault =
        AgentRig::object(agent.rig.post(R"({"name": ")" + name + R"(", "params": {}})"), status);
    EXPECT_TRUE(fault.at("faultstring").is_string());
    return string_in(fault, "faultstring");
  };
  EXPECT_NE(refused("clean.frobnicate", 400).find("Unknown command"), std::string::npos);
  EXPECT_NE(refused("foo.bar", 404).find("foo"), std::string::npos);
  AgentRig::object(agent.rig.post(Waiting::order("clean", "waits")));
  EXPECT_NE(refused("clean.get_clean_steps", 409).find("Agent is busy"), std::string::npos);
  for (const auto* target : {"/none", "/v1/commands/none", "nonsense"}) {
    const auto fault = parse_json_object(agent.rig.get(target).body);
    ASSERT_TRUE(fault) << target;
    EXPECT_TRUE(fault->at("faultstring").is_string()) << target;
  }
}

// The conductor takes that for a difference between its API and the agent's.
TEST(Pitfall, N09NoErrorIsATypeError) {
  Waiting agent;
  const auto record = agent.rig.step("clean", "fails", {}, {});
  EXPECT_EQ(test::error_type(record), "CommandExecutionError");
  EXPECT_EQ(test::error_details(record), "why");
}

// The conductor decides by the last entry.
TEST(Pitfall, N10TheListHoldsWhatTheConductorBegan) {
  Waiting agent;
  EXPECT_TRUE(agent.rig.list().empty()) << "freshly booted";
  agent.rig.run("deploy.get_deploy_steps", {});
  AgentRig::object(agent.rig.post(Waiting::order("deploy", "waits")));
  const auto busy = agent.rig.post(Waiting::order("deploy", "waits"));
  EXPECT_EQ(busy.status, 409U);
  agent.rig.post(R"({"name": "deploy.none", "params": {}})");
  const auto all = agent.rig.list();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(string_in(all.back().as_object(), "command_name"), "execute_deploy_step");
  EXPECT_EQ(string_in(all.back().as_object(), "command_status"), "RUNNING");
}

// Without its step a success is ignored for ever.
TEST(Pitfall, N11TheStepIsEchoed) {
  Waiting agent;
  agent.released = true;
  for (const std::string kind : {"clean", "deploy", "service"}) {
    const auto record = agent.rig.step(kind, "waits", {{"x", 1}}, {});
    EXPECT_EQ(json::serialize(record.at("command_result").at(kind + "_step")),
              R"({"step":"waits","interface":"deploy","args":{"x":1}})");
  }
}

// Otherwise each step costs minutes.
TEST(Pitfall, N12AnEndForcesAHeartbeat) {
  FakeIronic ironic([](const auto&, std::size_t) { return HttpAnswer{.status = 202}; });
  AgentOptions options;
  options.api_urls = {ironic.url()};
  options.api_version = "1.68";
  NodeState node;
  node.adopt(lookup_answer(R"("agent_token": ")" + kToken + R"(")"));
  IronicClient client(options);
  Heartbeats heartbeats(client, node, "https://192.0.2.7:9999", "", seconds(3600),
                        {.forced_gap = milliseconds(10)});
  CommandTable table({.on_end = [&heartbeats](const CommandRecord&) { heartbeats.force(); }});
  table.add("x.sync", {.run = [](const json::object&, const std::stop_token&) {
              return CommandOutcome("null");
            }});
  for (const bool fails : {false, true})
    table.add(fails ? "x.fails" : "x.works",
              {.kind = Command::Kind::asynchronous,
               .run = [fails](const json::object&, const std::stop_token&) {
                 return fails ? CommandOutcome(tl::unexpected(failure("CleaningError", "x")))
                              : CommandOutcome("null");
               }});
  ASSERT_TRUE(ironic.wait_for(1));
  ASSERT_TRUE(table.execute("x.sync", {}));
  for (std::size_t count = 2; count <= 3; ++count) {
    ASSERT_TRUE(table.execute(count == 2 ? "x.works" : "x.fails", {}));
    EXPECT_TRUE(ironic.wait_for(count)) << "it comes in an hour only";
  }
}

// The request stays open, and others are answered meanwhile.
TEST(Pitfall, N13AWaitingRequestHoldsUpNobody) {
  Waiting agent;
  const auto server = test::start(agent.rig.api);
  ASSERT_TRUE(server);
  test::RawClient waiting(server->port());
  ASSERT_TRUE(waiting.send(test::post(AgentRig::with_token("/v1/commands/?wait=true"),
                                      Waiting::order("clean", "waits"))));
  test::RawClient other(server->port());
  EXPECT_TRUE(eventually([&] {
    const auto listed = other.ask(test::get(AgentRig::with_token("/v1/commands/")));
    return listed && listed->body.find("RUNNING") != std::string::npos;
  }));
  EXPECT_FALSE(waiting.readable(milliseconds(100)));
  agent.released = true;
  const auto answer = waiting.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_NE(answer->body.find("SUCCEEDED"), std::string::npos);
}

TEST(Pitfall, N14TheMismatchHasTheNameOfCleaning) {
  Waiting agent;
  for (const std::string kind : {"clean", "deploy", "service"}) {
    const auto record = agent.rig.run(
        kind + ".execute_" + kind + "_step",
        {{"step", {{"step", "waits"}}}, {kind + "_version", {{"generic_hardware_manager", "1"}}}});
    EXPECT_EQ(string_in(record, "command_status"), "CLEAN_VERSION_MISMATCH") << kind;
  }
}

TEST(Pitfall, N15StepsAreAnObjectOfLists) {
  Waiting agent;
  for (const std::string kind : {"clean", "deploy", "service"}) {
    const auto record = agent.rig.run(kind + ".get_" + kind + "_steps", {});
    const json::object& result = record.at("command_result").as_object();
    const json::object* managers = object_in(result, kind + "_steps");
    ASSERT_NE(managers, nullptr);
    for (const auto& [manager, steps] : *managers) EXPECT_TRUE(steps.is_array()) << manager;
    EXPECT_NE(object_in(result, "hardware_manager_version"), nullptr);
  }
}

// With that field Ironic's API refuses or changes the request.
TEST(Pitfall, N28InspectionNamesNoVersionOfTheApi) {
  test::HeadReceiver ironic("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
  AgentOptions options;
  options.api_version = "1.83";
  options.api_urls = {ironic.url()};
  IronicClient client(options);
  ASSERT_TRUE(client.continue_inspection({ironic.url() + "/v1/continue_inspection"}, "{}", {}));
  ASSERT_EQ(ironic.heads().size(), 1U);
  EXPECT_TRUE(ironic.heads()[0].starts_with("POST /v1/continue_inspection HTTP/1.1\r\n"));
  EXPECT_EQ(ironic.heads()[0].find("API-Version"), std::string::npos);
}

// The baremetal-operator decodes into typed structs: one wrong type breaks all of it.
TEST(Pitfall, N29TypesOfTheInventory) {
  NodeInventory node;
  node.interfaces.emplace_back().name = "eno1";
  node.cpu.frequency = "3200.0000";
  node.cpu.architecture = "x86_64";
  node.memory = {1ULL << 30, 1024};
  disk::Disk disk;
  disk.name = "/dev/sda";
  disk.size = 480103981056;
  disk.serial = "S1";
  disk.wwn = "0x5000";
  node.disks.disks = {disk};
  for (const bool known : {true, false}) {
    const auto all = json::parse(inventory_json(known ? node : NodeInventory(), {}));
    const auto& cpu = all.at("cpu");
    EXPECT_TRUE(cpu.at("frequency").is_string());
    EXPECT_TRUE(cpu.at("architecture").is_string());
    EXPECT_TRUE(cpu.at("count").is_number());
    EXPECT_TRUE(cpu.at("flags").is_array());
    EXPECT_TRUE(all.at("memory").at("total").is_number());
    EXPECT_TRUE(all.at("interfaces").is_array());
    for (const auto& each : all.at("disks").as_array()) {
      EXPECT_TRUE(each.at("size").is_number());
      EXPECT_TRUE(each.at("rotational").is_bool());
      for (const char* text : {"serial", "wwn"}) EXPECT_TRUE(each.at(text).is_string()) << text;
      EXPECT_TRUE(each.at("hctl").is_null());
    }
  }
}

}  // namespace
}  // namespace ingot::agent
