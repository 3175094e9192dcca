// The commands that end the agent, on a process instead of a machine.
#include "agent/ironic/standby_commands.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <thread>

#include "tests/unit/agent/ironic/agent_rig.hpp"

namespace ingot::agent {
namespace {

using test::AgentRig;

class Standby : public testing::Test {
 protected:
  Standby() {
    options_.power = PowerMode::exit;
    power_ = make_power(options_, [this] {
      ++ended_;
      control_.end(AgentEnd::powered_off);
    });
    add_standby_commands(rig_.table, *power_, control_);
  }

  AgentOptions options_;
  std::atomic<int> ended_ = 0;
  AgentControl control_;
  std::unique_ptr<Power> power_;
  AgentRig rig_;
};

TEST_F(Standby, Sync) {
  const auto record = rig_.run("standby.sync", {});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(record.at("command_result").is_null());
  EXPECT_EQ(ended_, 0);
}

TEST_F(Standby, PowerOffIsAnsweredBeforeItIsDone) {
  const auto begun = AgentRig::object(rig_.post(R"({"name": "standby.power_off", "params": {}})"));
  EXPECT_EQ(string_in(begun, "command_status"), "RUNNING");
  EXPECT_EQ(control_.wait({}), AgentEnd::powered_off);
  EXPECT_EQ(ended_, 1);
}

TEST_F(Standby, RunImageIsAReboot) {
  const auto record = rig_.run("standby.run_image", {});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(record.at("command_result").is_null());
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(control_.wait({}), AgentEnd::powered_off);
}

TEST_F(Standby, AStoppedAgentSwitchesNothingOff) {
  const auto begun = AgentRig::object(rig_.post(R"({"name": "standby.power_off", "params": {}})"));
  rig_.table.finish();
  const auto record = rig_.table.find(string_in(begun, "id"));
  ASSERT_TRUE(record);
  // Unless the machine is so loaded that the second was over by then.
  if (ended_ == 0) {
    EXPECT_EQ(record->status, CommandStatus::failed);
    EXPECT_EQ(record->error.value().type, "SystemRebootError");
  }
}

TEST_F(Standby, LockdownEndsTheAgent) {
  const auto record = rig_.run("system.lockdown", {});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_EQ(control_.wait({}), AgentEnd::locked_down);
  EXPECT_EQ(ended_, 0);
}

class RefusingPower final : public Power {
 public:
  Result<void> off() override { return fail(Errc::usage_option, "this is no RAM disk", "say so"); }
  Result<void> reboot() override { return off(); }
  void isolate() override {}
};

TEST(StandbyRefused, IsASystemRebootError) {
  RefusingPower power;
  AgentControl control;
  AgentRig rig;
  add_standby_commands(rig.table, power, control);
  const auto record = rig.run("standby.power_off", {});
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "SystemRebootError");
  EXPECT_NE(test::error_details(record).find("this is no RAM disk"), std::string::npos);
}

TEST(AgentControl, TheFirstEndCounts) {
  AgentControl control;
  control.end(AgentEnd::locked_down);
  control.end(AgentEnd::powered_off);
  EXPECT_EQ(control.wait({}), AgentEnd::locked_down);
}

TEST(AgentControl, AStopEndsTheWait) {
  AgentControl control;
  std::stop_source stop;
  std::jthread stopper([&stop] { stop.request_stop(); });
  EXPECT_EQ(control.wait(stop.get_token()), AgentEnd::stopped);
}

}  // namespace
}  // namespace ingot::agent
