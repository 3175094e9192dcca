/// User data: what cloud-init does at the first boot, with SSH keys put into it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

struct UserData {
  std::string text;
  std::vector<std::string> remarks;  ///< sentences for people; nothing of the text in them
};

/// `text` with `keys` (lines of authorized_keys) for the image's default user.
///
/// A cloud-config stays one: the keys are appended to its own ssh_authorized_keys, none twice, and
/// all else keeps its value (not its comments). A YAML map without "#cloud-config" at its head is
/// taken for one. Anything else that cloud-init knows (scripts, templates, includes, MIME) becomes
/// a part of a multi-part MIME message, and a cloud-config with the keys the other. Without keys
/// all but a missing head stays as it is.
///
/// Errors: usage.manifest, "line N: …" within `text`, without quoting it: no YAML, anchors that
/// stand for too much, an Ignition config, which has no room for a second format.
/// Sources: cloud-init 22.4, its user_data.py and handlers: what text begins with decides what it
/// is; "mime-version:" within the first 4096 bytes makes it a MIME message.
Result<UserData> with_ssh_keys(std::string_view text, const std::vector<std::string>& keys);

}  // namespace ingot::agent
