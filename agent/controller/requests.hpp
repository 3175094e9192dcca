/// From the manifests of a machine to what it is to become.
#pragma once

#include "agent/controller/machines.hpp"
#include "agent/osimage/catalog.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "agent/resolution/resolve.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Resolves the machines of a directory, one after the other.
///
/// What a machine refers to (spec.providerRef, typeRef, environmentRef), it has to name: of a
/// directory of manifests nobody can say that the only one of a kind is meant for every machine.
/// Without a caller: whoever writes a machine's manifest here administers the images as well.
class RequestMaker {
 public:
  /// All outlive it. SSHKeys are looked for in the catalog and then among the manifests.
  RequestMaker(const MachineManifests& manifests, Catalog& catalog, OnWarning on_warning);

  /// Errors: as resolve() has them.
  Result<DeployRequest> make(const Machine& machine);

 private:
  const MachineManifests& manifests_;
  Catalog& catalog_;
  const OnWarning on_warning_;
  ResolutionInput input_;
};

}  // namespace ingot::agent
