/// Deploying: the steps and commands that write an image, on the same job as `ingot write`.
#pragma once

#include <vector>

#include "agent/ironic/command_table.hpp"
#include "agent/ironic/image_order.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"
#include "agent/ironic/steps.hpp"

namespace ingot::agent {

/// write_image (arguments image_info, configdrive: what the conductor of a `direct` deploy sends),
/// write_osimage (properties: an OSImage's; configdrive: what a `custom-agent` deploy may plan).
/// Both arguments outlive the steps.
std::vector<Step> deploy_steps(const AgentOptions& options, NodeState& node);

/// Adds standby.prepare_image, which conductors up to 2022 send, and standby.get_partition_uuids,
/// which says what is on the disk that was written.
void add_deploy_commands(CommandTable& table, const AgentOptions& options, NodeState& node);

}  // namespace ingot::agent
