/// The JSON documents of the REST API (docs/controller-openapi.yaml).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/controller/fleet.hpp"
#include "agent/controller/site.hpp"
#include "agent/controller/store.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// {"error": {"code", "message", "advice"}}.
[[nodiscard]] std::string error_document(std::string_view code, std::string_view message,
                                         std::string_view advice);

[[nodiscard]] std::string deployment_document(const Deployment& deployment);

/// What the machine is, is to become, and did; on one line.
[[nodiscard]] std::string machine_document(const MachineState& state, const Site& site);

/// {"osimages": […]}, with who may use each and which machines are to have it. Without credentials.
[[nodiscard]] std::string os_images_document(const Site& site);

/// {"events": [CloudEvent…], "next": N|null}: `after` of the next page, where there may be one.
[[nodiscard]] std::string events_document(const std::vector<StoredEvent>& events, bool more);

/// The tag that a machine's events carry: of the request, and of how often an installation was
/// ordered. "" where there is no request.
[[nodiscard]] std::string installation_tag(const Plan& plan, std::int64_t reinstalls);

/// Whether an installation was ordered that no deployment has begun with yet.
[[nodiscard]] bool is_order_open(const MachineState& state);

/// Whether what is on the machine's disk is what it is to become.
[[nodiscard]] bool is_installed(const MachineState& state, const Plan& plan);

}  // namespace ingot::agent
