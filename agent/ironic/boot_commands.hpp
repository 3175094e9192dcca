/// image.install_bootloader: the machine's firmware is told to start what was written.
#pragma once

#include "agent/ironic/command_table.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"

namespace ingot::agent {

/// Adds image.install_bootloader. The disk is the one that was written in this boot, else the one
/// that the node's root device hints choose. On a machine that was started by BIOS there is nothing
/// to do for a whole-disk image. With PowerMode::exit the firmware, which would be that of somebody
/// else's machine, is left alone. Both arguments outlive the table.
void add_boot_commands(CommandTable& table, const AgentOptions& options, const NodeState& node);

}  // namespace ingot::agent
