/// Objects of an API server become the catalog's, by the same strict readers as files.
#pragma once

#include <string>
#include <string_view>

#include "agent/kubernetes/api_objects.hpp"
#include "agent/osimage/os_image.hpp"
#include "agent/osimage/ssh_key.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

inline constexpr std::string_view kOsImageResource = "osimages", kSshKeyResource = "sshkeys";

/// Whether an object can have this name at all (RFC 1123's subdomains), and so be asked for.
[[nodiscard]] bool is_object_name(std::string_view name) noexcept;

/// Errors: usage.manifest, where the file is "SERVER osimages/NAME".
Result<OsImage> decode_os_image(const ApiObject& object, const std::string& server,
                                const OnWarning& on_warning);
Result<SshKey> decode_ssh_key(const ApiObject& object, const std::string& server,
                              const OnWarning& on_warning);

}  // namespace ingot::agent
