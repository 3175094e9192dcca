/// Commands that end the deployment or the agent: sync, power_off, run_image, lockdown.
#pragma once

#include "agent/ironic/agent_control.hpp"
#include "agent/ironic/command_table.hpp"
#include "agent/machine/power.hpp"

namespace ingot::agent {

/// Adds standby.sync, standby.power_off, standby.run_image (which means reboot) and
/// system.lockdown. All three outlive the table.
void add_standby_commands(CommandTable& table, Power& power, AgentControl& control);

}  // namespace ingot::agent
