/// --catalog: where OSImages and SSHKeys are found, and the options of a Kubernetes API server.
#pragma once

#include <memory>
#include <string>

#include "agent/kubernetes/api_server.hpp"
#include "agent/osimage/catalog.hpp"
#include "agent/osimage/manifest.hpp"
#include "disk/core/error.hpp"

namespace CLI {
class App;
}  // namespace CLI

namespace ingot::agent {

/// Group "API server": what goes with a --catalog that is one.
void add_api_server_options(CLI::App& app, KubernetesOptions& into);

/// Opens what --catalog names: a directory of manifests, or an API server (docs/kubernetes.md).
/// Errors: the catalog's; usage.option: `api` beside a directory, what choose_api_server() refuses.
Result<std::unique_ptr<Catalog>> open_catalog(const std::string& option, KubernetesOptions api,
                                              const OnWarning& on_warning);

}  // namespace ingot::agent
