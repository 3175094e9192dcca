/// Route: which of the controller's resources a request's target names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

struct Route {
  enum class What {
    unknown,
    page,
    health,
    metrics,
    provision,
    machines,
    machine,
    machine_deployments,
    machine_events,
    machine_reinstall,
    deployment,
    deployment_events,
    os_images,
    stream,
  };
  What what = What::unknown;
  std::string path;     ///< decoded
  std::string subject;  ///< the machine's name, or the deployment's id
  struct Parameter {
    std::string name, value;
  };
  std::vector<Parameter> parameters;  ///< of the query, decoded

  /// The first of this name, or "".
  [[nodiscard]] std::string parameter(std::string_view name) const;
};

/// Nothing: the target is no path with a query (RFC 3986), or has more than 64 parameters.
std::optional<Route> route_of(std::string_view target);

/// For metrics: a name that no client can choose.
[[nodiscard]] std::string_view name(Route::What what) noexcept;

/// Methods of a route, as a 405 lists them.
[[nodiscard]] std::string_view methods(Route::What what) noexcept;

}  // namespace ingot::agent
