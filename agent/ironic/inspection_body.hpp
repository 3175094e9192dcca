/// What inspection tells Ironic about this node, as JSON text.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/ironic/lldp.hpp"
#include "agent/ironic/node_inventory.hpp"
#include "agent/ironic/system_logs.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

struct InspectionOptions {
  NodeInventoryOptions inventory{};
  /// Also in every interface of the inventory, not only where the collector "lldp" is wanted.
  bool collect_lldp = false;
  std::chrono::milliseconds lldp_timeout{30'000};
  /// At most 8 MiB of logs are sent, uncompressed: Ironic takes bodies of 16 MiB.
  SystemLogOptions logs{};
  /// By what name and version Ironic knows the part that collects.
  std::string manager = "generic_hardware_manager";
  std::string manager_version = "1.2";
};

struct InspectionBody {
  std::string json;
  std::vector<std::string> notes;  ///< what is missing and why, for the log
};

/// The body of the POST to /v1/continue_inspection: what the `collectors` "default", "logs" and
/// "lldp" add; others are not known and passed over with a note. Its "error" is null: what is
/// missing does not fail inspection, or Ironic will not take what is there.
///
/// Takes as long as the slowest of its parts: up to 40 s for logs, `lldp_timeout` for LLDP.
/// Errors: cancelled.
Result<InspectionBody> inspection_body(const std::vector<std::string>& collectors,
                                       const InspectionOptions& options,
                                       const std::stop_token& stop);

/// The inventory alone, as a JSON object: the body's member "inventory".
[[nodiscard]] std::string inventory_json(const NodeInventory& node, const LldpNeighbors& neighbors);

}  // namespace ingot::agent
