/// Metal3: a deploy request as what is applied to a BareMetalHost.
#pragma once

#include <string>
#include <vector>

#include "agent/resolution/deploy_request.hpp"
#include "agent/text/yaml_document.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Secrets with user data and network data, as far as there are any, and a patch of the
/// BareMetalHost called `host` ("": the request's server name): spec.image, spec.online, references
/// to the Secrets, an annotation with the DNS servers. It says nothing of what is the owner's, such
/// as rootDeviceHints; meta data Metal3 makes itself. `name_space`: of all of them; "": whoever
/// applies them says.
///
/// Without a name of the host the patch has none (for `kubectl patch`), as long as no Secret has to
/// be named after it. Errors: usage.manifest: that; an image format that Metal3 does not know.
/// Source: Metal3's baremetal-operator, api/v1alpha1.
Result<std::vector<YamlNode>> bare_metal_host_patch(const DeployRequest& request,
                                                    const std::string& host,
                                                    const std::string& name_space);

}  // namespace ingot::agent
