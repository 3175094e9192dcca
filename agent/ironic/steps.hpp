/// Steps: what the agent offers to do while a node is cleaned, deployed or serviced, and the
/// commands by which the conductor asks for it.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/ironic/command_table.hpp"
#include "agent/ironic/node_state.hpp"

namespace ingot::agent {

/// By which Ironic knows what the steps mean; the version stays as long as that does.
inline constexpr const char* kManagerName = "ingot_hardware_manager";
inline constexpr const char* kManagerVersion = "1";

/// What a step is called with.
struct StepCall {
  const boost::json::object& args;
  const boost::json::object& node;  ///< the node's newest record
  const std::stop_token& stop;
};

/// One step. It is offered for each kind of operation that it has a priority for; 0: only on
/// request.
struct Step {
  std::string name;
  std::optional<int> clean{}, deploy{}, service{};
  bool abortable = false;
  std::string arguments = "null";  ///< JSON: name → {description, required}
  /// Returns JSON text.
  std::function<CommandOutcome(const StepCall& call)> run{};
};

/// Adds `clean.*`, `deploy.*` and `service.*`: get_…_steps and execute_…_step. Each brings the
/// newest record of the node, which goes into `node`, which outlives the table.
///
/// Version   The conductor plans with the version that it was told, and a step of another one is
///           refused, so that it plans anew. It stays the same as long as order and meaning of the
///           steps do.
/// Echo      A step's result repeats the step, or the conductor does not believe it; with what is
///           secret in it masked.
void add_step_commands(CommandTable& table, std::vector<Step> steps, NodeState& node);

}  // namespace ingot::agent
