/// Resolution: a machine's chain of manifests and a catalog become a deploy request.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/osimage/catalog.hpp"
#include "agent/resolution/chain.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "agent/resolution/properties.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

inline constexpr std::string_view kMetal3 = "metal3";

struct ResolutionInput {
  ChainManifests manifests;
  std::string os_image;          ///< the OSImage of this name, whatever the chain says; or ""
  std::optional<Caller> caller;  ///< nobody: no access check
  std::string provider{kMetal3};
};

/// A value of the OSImage that does not count, and why.
struct LeftOut {
  std::string name, value;
  Origin origin;
  std::string why;
};

struct Resolution {
  std::optional<DeployRequest> request;  ///< nothing: the provider is not one that we resolve for
  PropertySet properties;                ///< with what the OSImage says, underneath
  std::vector<LeftOut> left_out;
  std::vector<std::string> warnings;
  std::optional<BareMetalHost> host;
};

/// Properties merge NodeProvider, NodeType, NodeEnvironment, Machine, the later winning. The
/// OSImage that vcluster.com/os-image names goes underneath all of them. docs/resolution.md has the
/// rules.
///
/// Errors: usage.manifest (the chain's; a name that is not in the catalog; values that cannot be;
/// what only the platform can render; a direct image without its own checksum), access.denied (of
/// the image or an SSH key). No message holds user data.
Result<Resolution> resolve(const ResolutionInput& input, Catalog& catalog);

/// The request that `properties` alone come to, for who has no catalog: names in it are refused.
/// Errors: usage.manifest.
Result<DeployRequest> request_without_catalog(const PropertySet& properties);

}  // namespace ingot::agent
