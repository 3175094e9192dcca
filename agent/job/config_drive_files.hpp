/// The user's own files for a config drive: read for form, and brought into OpenStack's.
#pragma once

#include <optional>
#include <string_view>

#include "disk/core/error.hpp"
#include "imaging/config_drive/config_drive.hpp"

namespace ingot::agent {

/// OpenStack's meta_data.json made of `text`, a JSON or YAML map. NoCloud's names are understood:
/// `instance-id`, `local-hostname` and `public-keys` become `uuid`, `hostname` and `public_keys`
/// (whose own values, where they are there as well, come first). Everything else stays as it is.
/// Without a `uuid` a random one is made: cloud-init takes a machine whose uuid it has not seen for
/// a new one, and sets it up. Without `text` there is nothing else in it. Errors:
/// usage.config-drive, with a line number and never a value of the file.
Result<imaging::SecretBytes> make_meta_data(std::optional<std::string_view> text);

/// OpenStack's network_data.json made of `text`, JSON or YAML: `links`, `networks` and perhaps
/// `services`, with everything in them that cloud-init cannot do without.
/// Errors: usage.config-drive: as above, and where `text` is a network configuration of another
/// kind (netplan, cloud-init's versions 1 and 2, nmstate), which one it is.
Result<imaging::SecretBytes> make_network_data(std::string_view text);

}  // namespace ingot::agent
