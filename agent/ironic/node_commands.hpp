/// Commands about the machine itself: its logs, its hardware, and giving it to its user.
#pragma once

#include "agent/ironic/agent_control.hpp"
#include "agent/ironic/command_table.hpp"
#include "agent/ironic/inspection_body.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"

namespace ingot::agent {

/// What an inspection of this machine reports, by the agent's parameters; logs without the secrets
/// that the agent knows.
[[nodiscard]] InspectionOptions inspection_options(const AgentOptions& options,
                                                   const NodeState& node);

/// Adds log.collect_system_logs, poll.get_hardware_info, poll.set_node_info, and
/// rescue.finalize_rescue, which writes the hashed password where the RAM disk's login looks for it
/// (/etc/ipa-rescue-config/ipa-rescue-password), marks the machine as rescued (/etc/.rescued) and
/// ends serving. With PowerMode::exit both files are made under the run directory instead. All
/// arguments outlive the table.
void add_node_commands(CommandTable& table, const AgentOptions& options, NodeState& node,
                       AgentControl& control);

}  // namespace ingot::agent
