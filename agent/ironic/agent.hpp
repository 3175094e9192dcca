/// The Ironic agent, from its start until it is stopped or the machine is switched off.
#pragma once

#include <stop_token>

#include "agent/ironic/agent_control.hpp"
#include "agent/ironic/parameters.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Waits for network and disks, looks the node up, serves the conductor's commands and sends
/// heartbeats. Says on standard error what it does. Returns how it ended.
///
/// Order    The server listens before the first heartbeat: the conductor answers that at once.
/// systemd  READY=1 when the server listens, before the first heartbeat: from then on commands are
///          served, whatever becomes of the heartbeats. Where no server is wanted (inspection
///          alone, a rescued machine), when nothing is left to be done. Each step before that
///          extends the time-out of the start by what it may take, so that one that hangs is
///          noticed. After that the watchdog is fed by the thread that called, while the server's
///          threads answer and the heartbeats' is on time. A disk that hangs does not count: a
///          restart would not help it.
/// Threads  those of server, heartbeats and command; joined before it returns. A job that runs when
///          `stop` comes is cancelled, and leaves a disk that does not boot.
/// Errors   controller.unreachable, controller.refused (no lookup in `lookup_timeout`, or the token
///          was given to somebody else), usage.option (cannot listen, or be identified).
Result<AgentEnd> run_agent(const AgentOptions& options, const std::stop_token& stop);

}  // namespace ingot::agent
