/// SSHKey: a public key that machines are given by its name.
#pragma once

#include <string>

#include "agent/osimage/access.hpp"
#include "agent/osimage/manifest.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// An SSHKey.
struct SshKey {
  std::string name;
  std::string display_name;
  std::string public_key;  ///< one line of authorized_keys, without a line end
  AccessRules access;
  std::string file;  ///< where it was read, for messages
  int line = 0;      ///< of metadata.name
};

/// Reads one. Errors: usage.manifest (no key, more than one line, a private key: never shown). What
/// `on_warning` is told: unknown keys in spec, a key whose bytes are not of its type.
Result<SshKey> read_ssh_key(const Manifest& manifest, const OnWarning& on_warning);

}  // namespace ingot::agent
