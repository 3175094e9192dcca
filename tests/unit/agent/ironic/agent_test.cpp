// The whole agent in this process, against an Ironic of the test's, with a loop device for a disk
// and a process's end for power.
#include "agent/ironic/agent.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <boost/url.hpp>
#include <chrono>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "agent/text/json_object.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"
#include "tests/unit/agent/http/raw_client.hpp"
#include "tests/unit/agent/http/test_handler.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"
#include "tests/unit/agent/ironic/waiting.hpp"

namespace ingot::agent {
namespace {

using test::FakeIronic;

const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";

// Hands the token out once, as Ironic does.
class WholeAgent : public testing::Test {
 protected:
  WholeAgent() {
    options_.api_urls = {ironic_.url()};
    options_.macs = {"52:54:00:aa:bb:01"};
    options_.only_disks = {disk_.path()};
    options_.advertise_host = "127.0.0.1";
    options_.listen_address = "127.0.0.1";
    options_.listen_port = 0;
    options_.power = PowerMode::exit;
    options_.run_dir = dir_.path("run");
    options_.lookup_interval = std::chrono::seconds(0);
  }
  ~WholeAgent() override { end(); }

  void begin() {
    thread_ =
        std::jthread([this](const std::stop_token& stop) { end_ = run_agent(options_, stop); });
  }
  /// Stops it, and says how it ended.
  Result<AgentEnd> end() {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
    return end_;
  }
  /// As far as it ends by itself.
  Result<AgentEnd> wait_for_end() {
    thread_.join();
    return end_;
  }
  /// The bodies of heartbeats, once there are `count`.
  std::vector<std::string> heartbeats(std::size_t count) {
    std::vector<std::string> bodies;
    EXPECT_TRUE(test::eventually([&] {
      bodies.clear();
      for (const auto& request : ironic_.requests())
        if (request.method == "POST") bodies.push_back(request.body);
      return bodies.size() >= count;
    }));
    return bodies;
  }
  HttpAnswer answer(const FakeIronic::Request& request) {
    if (request.target == "/")
      return {.status = 200, .body = R"({"default_version": {"version": ")" + version_ + R"("}})"};
    if (request.method == "POST") return {.status = 202};
    if (failures_ > 0) return --failures_, HttpAnswer{.status = 404};
    const std::string token = std::exchange(given_, true) ? "******" : kToken;
    return {.status = 200,
            .body = R"({"node": {"uuid": "1be26c0b"}, "config": {"heartbeat_timeout": 300,
                        "tls_min_version": "1.3", "agent_token": ")" +
                    token + R"("}})"};
  }
  static std::uint16_t port_of(const std::string& heartbeat) {
    const auto url = string_in(parse_json_object(heartbeat).value(), "callback_url");
    return boost::urls::parse_uri(url).value().port_number();
  }

  std::string version_ = "1.115";
  int failures_ = 0;
  bool given_ = false;
  const test::TempDir dir_;
  const test::LoopDevice disk_{16ULL << 20};
  FakeIronic ironic_{[this](const auto& request, std::size_t) { return answer(request); }};
  AgentOptions options_;
  Result<AgentEnd> end_ = AgentEnd::stopped;
  std::jthread thread_;
};

TEST_F(WholeAgent, ListensBeforeItsFirstHeartbeatAndObeys) {
  begin();
  const auto body = heartbeats(1).at(0);
  const auto heartbeat = parse_json_object(body).value();
  EXPECT_EQ(string_in(heartbeat, "agent_token"), kToken);
  EXPECT_TRUE(string_in(heartbeat, "callback_url").starts_with("https://127.0.0.1:"));
  const std::string certificate = string_in(heartbeat, "agent_verify_ca");
  test::RawClient conductor(port_of(body));
  ASSERT_TRUE(conductor.start_tls(TLS1_3_VERSION, TLS1_3_VERSION, certificate, "127.0.0.1"));
  const auto steps =
      conductor.ask(test::post("/v1/commands/?wait=true&agent_token=" + kToken,
                               R"({"name": "clean.get_clean_steps", "params": {}})"));
  ASSERT_TRUE(steps);
  EXPECT_EQ(steps->status, 200);
  EXPECT_NE(steps->body.find("erase_devices_metadata"), std::string::npos);
  const auto off = conductor.ask(test::post("/v1/commands/?wait=false&agent_token=" + kToken,
                                            R"({"name": "standby.power_off", "params": {}})"));
  ASSERT_TRUE(off);
  EXPECT_EQ(off->status, 200);
  EXPECT_EQ(wait_for_end().value(), AgentEnd::powered_off);
  EXPECT_EQ(ironic_.requests()[1].target, "/v1/lookup?addresses=52:54:00:aa:bb:01");
}

// It has the token, the certificate and the URL of its first life.
TEST_F(WholeAgent, RestartedItIsTheSame) {
  begin();
  const auto first = heartbeats(1).at(0);
  EXPECT_EQ(end().value(), AgentEnd::stopped);
  options_.listen_port = port_of(first);
  begin();
  EXPECT_EQ(heartbeats(2).at(1), first);
}

TEST_F(WholeAgent, WithoutTheTokenItDoesNotServe) {
  given_ = true;  // to another agent of this boot
  begin();
  const auto how = wait_for_end();
  ASSERT_FALSE(how);
  EXPECT_EQ(how.error().code(), Errc::controller_refused);
  for (const auto& request : ironic_.requests()) EXPECT_NE(request.method, "POST");
}

TEST_F(WholeAgent, ATokenFromTheMediumIsItsOwn) {
  given_ = true;
  options_.agent_token = std::string(43, 'v');
  begin();
  EXPECT_EQ(string_in(parse_json_object(heartbeats(1).at(0)).value(), "agent_token"),
            options_.agent_token);
}

TEST_F(WholeAgent, LooksTheNodeUpUntilItIsThere) {
  failures_ = 2;
  begin();
  heartbeats(1);
  EXPECT_EQ(end().value(), AgentEnd::stopped);
}

TEST_F(WholeAgent, GivesUpWhenTheTimeIsOver) {
  failures_ = 1000;
  options_.lookup_timeout = std::chrono::seconds(0);
  begin();
  const auto how = wait_for_end();
  ASSERT_FALSE(how);
  EXPECT_NE(how.error().message().find("no node was found"), std::string::npos);
}

TEST_F(WholeAgent, AnOldApiTakesNoCertificate) {
  version_ = "1.67";
  begin();
  const auto heartbeat = parse_json_object(heartbeats(1).at(0)).value();
  EXPECT_TRUE(string_in(heartbeat, "callback_url").starts_with("http://"));
  EXPECT_FALSE(heartbeat.contains("agent_verify_ca"));
}

// Whoever forgot the URL need not wait for disks and network interfaces to be told so.
TEST(Agent, WithoutAnApiItEndsBeforeItWaitsForHardware) {
  AgentOptions options;
  options.only_disks = {"/dev/there-is-no-such-disk"};
  options.power = PowerMode::exit;
  const auto begun = std::chrono::steady_clock::now();
  const auto ended = run_agent(options, std::stop_token());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code(), Errc::usage_option);
  EXPECT_NE(ended.error().message().find("no URL of Ironic's API"), std::string::npos)
      << ended.error().message();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15))
      << "ten looks for a disk take half a minute";
}

}  // namespace
}  // namespace ingot::agent
