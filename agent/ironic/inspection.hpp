/// Inspection: tells Ironic what this machine is made of, before it is looked up.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "agent/ironic/ironic_client.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Whether the parameters ask for an inspection: a callback URL, or collectors and an API.
[[nodiscard]] bool wants_inspection(const AgentOptions& options);

/// How long is waited between attempts; a test makes it short.
struct InspectionTimes {
  std::chrono::milliseconds retry_first{5'000}, retry_most{30'000};  ///< doubles between them
  int attempts = 5;
};

/// Waits for addresses (AgentOptions::dhcp_wait), collects, and posts it. Nobody there, 409 and 5xx
/// are tried again; other refusals are final. Returns the node's UUID, or "" if Ironic did not say.
/// Errors: controller.unreachable, controller.refused, cancelled. None of them keeps a machine from
/// being deployed: who calls goes on with the lookup.
Result<std::string> inspect(const AgentOptions& options, IronicClient& client,
                            const NodeState& node, const std::stop_token& stop,
                            const InspectionTimes& times = {});

}  // namespace ingot::agent
