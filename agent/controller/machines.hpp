/// Machines: the manifests that say which machines there are, and which one is asking.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/osimage/manifest.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A Machine or NodeClaim, and what it is recognised by. Addresses and UUIDs in small letters.
struct Machine {
  std::string name;
  Manifest manifest;
  std::vector<std::string> macs;  ///< ingot.io/mac-addresses, and its host's bootMACAddress
  std::string uuid, serial;       ///< ingot.io/system-uuid, ingot.io/serial-number; ""
  std::string server_name;        ///< metal3.vcluster.com/server-name; ""
  bool always_reinstall = false;  ///< ingot.io/reinstall: always
};

/// What a directory of manifests holds.
struct MachineManifests {
  std::vector<Machine> machines;  ///< by name
  /// NodeProvider, NodeType, NodeEnvironment, SSHKey, BareMetalHost, and what else there is.
  std::vector<Manifest> others;

  /// Of `others`; nullptr: there is none.
  [[nodiscard]] const Manifest* find(std::string_view kind, std::string_view name) const;
};

/// Reads every *.yaml, *.yml and *.json file of `directory` in the order of their names, as
/// open_directory_catalog() does.
///
/// Errors: usage.manifest: a file that cannot be read or is refused; two of a kind and name; two
/// machines with one MAC address, UUID or serial number; a name that is no DNS name.
Result<MachineManifests> load_machines(const std::string& directory, const OnWarning& on_warning);

/// What a machine says of itself. Empty: nothing.
struct MachineIdentity {
  std::string name{};
  std::vector<std::string> macs{};
  std::string uuid{}, serial{};
};

/// The machine that this is; nullptr: none that is known. One property is enough, and those that
/// fit no machine do not matter: a machine has NICs that nobody wrote down.
/// Errors: usage.option: what it says fits several machines, which are named.
Result<const Machine*> match_machine(const std::vector<Machine>& machines,
                                     const MachineIdentity& identity);

}  // namespace ingot::agent
