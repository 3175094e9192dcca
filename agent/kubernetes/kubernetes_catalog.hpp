/// A catalog whose objects a Kubernetes API server has: the platform's management API.
#pragma once

#include <memory>
#include <stop_token>

#include "agent/kubernetes/api_server.hpp"
#include "agent/osimage/catalog.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Chooses the server (choose_api_server); asks it only when the catalog is asked, each time anew.
///
/// Errors: usage.option. The catalog's own: controller.unreachable; controller.refused (401, no
/// such API, 403 of a list); access.denied (403 of the one object that was asked for);
/// usage.manifest: the object that was asked for is malformed; cancelled when `stop` is requested.
/// In a list a malformed object is left out, which `on_warning` is told: the others are not its
/// hostages.
Result<std::unique_ptr<Catalog>> open_kubernetes_catalog(const KubernetesOptions& options,
                                                         const OnWarning& on_warning,
                                                         std::stop_token stop = {});

}  // namespace ingot::agent
