/// AgentError: a failure in the form in which Ironic's agent tells it to the conductor.
#pragma once

#include <cstddef>
#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// What the conductor reads: a class name, a code like HTTP's, a fixed text for the class, and what
/// happened. It shows `details`. (Ironic's agent, ironic_python_agent/errors.py, names the classes;
/// "TypeError" has a meaning of its own and is never used.)
struct AgentError {
  std::string type;
  int code = 500;
  std::string message;
  std::string details;

  bool operator==(const AgentError&) const = default;
};

/// Longest `details` in bytes. Ironic cuts a node's last_error after 4096 characters
/// ([DEFAULT]log_in_db_max_size; ironic/objects/node.py), and begins it with words of its own.
inline constexpr std::size_t kMaxDetails = 3800;

/// The whole of `error` in one sentence with its advice and code; the class by the error's code.
/// Where that is too long, the end of error.message() is missing.
[[nodiscard]] AgentError agent_error(const Error& error);

// Those that are no ingot::Error first.
[[nodiscard]] AgentError invalid_command(std::string details);
[[nodiscard]] AgentError invalid_parameters(std::string details);
[[nodiscard]] AgentError not_found(std::string details);
[[nodiscard]] AgentError busy(std::string details);
[[nodiscard]] AgentError version_mismatch(std::string details);
[[nodiscard]] AgentError method_not_found(std::string details);
/// `type` is "CleaningError", "DeploymentError", "ServicingError", "BlockDeviceEraseError",
/// "ProtectedDeviceError", "SystemRebootError", "DeviceNotFound" or "CommandExecutionError".
[[nodiscard]] AgentError failure(const std::string& type, std::string details);

}  // namespace ingot::agent
