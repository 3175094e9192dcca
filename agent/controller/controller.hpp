/// The controller as a whole: manifests, state file, API and server, from start to end.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "agent/kubernetes/api_server.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

struct ControllerOptions {
  std::string catalog;            ///< a directory of manifests, or an API server
  KubernetesOptions kubernetes;   ///< more about that
  std::string machines;           ///< a directory of manifests
  std::string listen_address;     ///< an IP address
  std::uint16_t listen_port = 0;  ///< 0: any
  std::string state;              ///< file; "": controller.db in $STATE_DIRECTORY, or here
  std::string tls_certificate_file, tls_key_file;  ///< PEM; both or neither
  std::string machine_tokens_file, page_token_file;
};

/// Serves until `stop` is requested. Says on standard error where it listens, what is not taken
/// from the manifests, and what is open to everybody.
/// Errors: usage.option, usage.manifest, controller.* (an API server's): before anything is served.
Result<void> run_controller(const ControllerOptions& options, const std::stop_token& stop);

}  // namespace ingot::agent
