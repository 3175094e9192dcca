/// A machine's chain: NodeProvider, NodeType, NodeEnvironment, Machine (or NodeClaim), each from
/// its real manifest, and the BareMetalHost that the machine is to run on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/osimage/manifest.hpp"
#include "agent/resolution/properties.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Manifests to choose the links of a chain from. Which one of a kind is a link, the Machine says
/// (spec.providerRef, typeRef and environmentRef: a name, or a map with `name`), and over its
/// environmentRef the property vcluster.com/network-environment.
struct ChainManifests {
  std::vector<Manifest> node_providers, node_types, node_environments, bare_metal_hosts;
  std::vector<Manifest> machines;  ///< Machine or NodeClaim: at most one; none: a chain without
  std::string node_type;           ///< instead of what the Machine says; ""
  /// Whether the only manifest of a kind is a link where nothing names one: it was given on
  /// purpose.
  bool the_only_one_counts = true;
};

/// What is taken of a metal3.io/v1alpha1 BareMetalHost.
struct BareMetalHost {
  std::string name, name_space, file;
  std::string boot_mac_address;   ///< spec.bootMACAddress, in small letters; or ""
  std::string root_device_hints;  ///< spec.rootDeviceHints as Ironic's JSON object; or ""
  int hints_line = 0;
};

/// Reads one. Its hints become what Metal3 makes of them for Ironic (deviceName: "name": "s== …").
/// Errors: usage.manifest.
Result<BareMetalHost> read_bare_metal_host(const Manifest& manifest);

struct Chain {
  PropertySet properties;
  std::string machine;  ///< metadata.name of the Machine or NodeClaim, or ""
  std::optional<BareMetalHost> host;
};

/// Errors: usage.manifest: a link that is named but not given, or not named and more than one; a
/// property that is no string; one that only a Machine may have elsewhere; a BareMetalHost that is
/// not the one that metal3.vcluster.com/server-name names.
Result<Chain> link(const ChainManifests& manifests);

}  // namespace ingot::agent
