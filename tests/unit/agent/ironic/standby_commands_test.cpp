// The commands that end the agent, on a process instead of a machine.
#include "agent/ironic/standby_commands.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/unit/agent/ironic/agent_rig.hpp"

namespace ingot::agent {
namespace {

using test::AgentRig;

// One agent that may be ended, with what became of it.
struct Machine {
  Machine() {
    power = make_power(PowerMode::exit, true, [this] {
      ++ended;
      control.end(AgentEnd::powered_off);
    });
    add_standby_commands(rig.table, *power, control);
  }
  std::string begin(const std::string& name) {
    const auto begun = AgentRig::object(rig.post(R"({"name": ")" + name + R"(", "params": {}})"));
    EXPECT_EQ(string_in(begun, "command_status"), "RUNNING") << "answered before it is done";
    return string_in(begun, "id");
  }

  std::atomic<int> ended = 0;
  AgentControl control;
  std::unique_ptr<Power> power;
  AgentRig rig;
};

// The error of a command, once it has ended.
std::optional<AgentError> error_of(AgentRig& rig, const std::string& id) {
  EXPECT_TRUE(test::eventually(
      [&] { return rig.table.find(id).value().status != CommandStatus::running; }));
  return rig.table.find(id).value().error;
}

class RefusingPower final : public Power {
 public:
  Result<void> off() override { return fail(Errc::usage_option, "this is no RAM disk", "say so"); }
  Result<void> reboot() override { return off(); }
  Result<void> kexec() override { return off(); }
  void isolate() override {}
};

TEST(Standby, Sync) {
  Machine machine;
  const auto record = machine.rig.run("standby.sync", {});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(record.at("command_result").is_null());
  EXPECT_EQ(machine.ended, 0);
}

// All at once, since each waits for a moment so that its answer gets out.
TEST(Standby, PowerOffAndReboot) {
  Machine off, reboot;
  RefusingPower none;
  AgentControl control;
  AgentRig refused;
  add_standby_commands(refused.table, none, control);
  const std::string off_id = off.begin("standby.power_off");
  const std::string reboot_id = reboot.begin("standby.run_image");
  const std::string refused_id = string_in(
      AgentRig::object(refused.post(R"({"name": "standby.power_off", "params": {}})")), "id");

  EXPECT_EQ(off.control.wait({}, std::chrono::seconds(30)), AgentEnd::powered_off);
  EXPECT_FALSE(error_of(off.rig, off_id));
  EXPECT_EQ(off.ended, 1);
  EXPECT_EQ(off.rig.table.find(off_id).value().result, "null");
  EXPECT_EQ(reboot.control.wait({}, std::chrono::seconds(30)), AgentEnd::powered_off);
  EXPECT_FALSE(error_of(reboot.rig, reboot_id));
  EXPECT_EQ(reboot.ended, 1);
  const auto error = error_of(refused, refused_id);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->type, "SystemRebootError");
  EXPECT_NE(error->details.find("this is no RAM disk"), std::string::npos);
}

TEST(Standby, AStoppedAgentSwitchesNothingOff) {
  Machine machine;
  const std::string id = machine.begin("standby.power_off");
  machine.rig.table.finish();
  // Unless the machine is so loaded that the moment was over by then.
  if (machine.ended == 0) {
    EXPECT_EQ(error_of(machine.rig, id).value().type, "SystemRebootError");
  }
}

TEST(Standby, LockdownEndsTheAgent) {
  Machine machine;
  EXPECT_EQ(test::status_of(machine.rig.run("system.lockdown", {})), "SUCCEEDED");
  EXPECT_EQ(machine.control.wait({}, std::chrono::seconds(30)), AgentEnd::locked_down);
  EXPECT_EQ(machine.ended, 0);
}

TEST(AgentControl, TheFirstEndCounts) {
  AgentControl control;
  control.end(AgentEnd::locked_down);
  control.end(AgentEnd::powered_off);
  EXPECT_EQ(control.wait({}, std::chrono::seconds(30)), AgentEnd::locked_down);
}

TEST(AgentControl, AStopEndsTheWait) {
  AgentControl control;
  std::stop_source stop;
  std::jthread stopper([&stop] { stop.request_stop(); });
  EXPECT_EQ(control.wait(stop.get_token(), std::chrono::seconds(30)), AgentEnd::stopped);
}

TEST(AgentControl, WithoutAnEndTheWaitIsOverInTime) {
  AgentControl control;
  EXPECT_EQ(control.wait({}, std::chrono::milliseconds(1)), std::nullopt);
}

}  // namespace
}  // namespace ingot::agent
