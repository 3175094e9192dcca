#include "agent/controller/route.hpp"

#include <array>
#include <boost/url.hpp>
#include <utility>

#include "agent/controller/page.hpp"

namespace ingot::agent {
namespace {

using What = Route::What;

What what_of(const std::string& path, const std::vector<std::string>& parts, std::string& subject) {
  for (const PageFile& file : page_files())
    if (file.path == path) return What::page;
  const std::size_t count = parts.size();
  if (count == 1 && parts[0] == "healthz") return What::health;
  if (count == 1 && parts[0] == "metrics") return What::metrics;
  if (count < 2 || parts[0] != "v1") return What::unknown;
  if (count == 2) {
    constexpr std::array<std::pair<std::string_view, What>, 4> kAlone{
        {{"provision", What::provision},
         {"machines", What::machines},
         {"osimages", What::os_images},
         {"stream", What::stream}}};
    for (const auto& [part, what] : kAlone)
      if (parts[1] == part) return what;
    return What::unknown;
  }
  subject = parts[2];
  if (subject.empty() || count > 4) return What::unknown;
  const std::string member = count == 4 ? parts[3] : std::string();
  if (parts[1] == "machines") {
    if (count == 3) return What::machine;
    if (member == "deployments") return What::machine_deployments;
    if (member == "events") return What::machine_events;
    if (member == "reinstall") return What::machine_reinstall;
  } else if (parts[1] == "deployments") {
    if (count == 3) return What::deployment;
    if (member == "events") return What::deployment_events;
  }
  return What::unknown;
}

}  // namespace

std::string Route::parameter(std::string_view name) const {
  for (const Parameter& parameter : parameters)
    if (parameter.name == name) return parameter.value;
  return {};
}

std::optional<Route> route_of(std::string_view target) {
  constexpr std::size_t kMostParameters = 64;
  const auto url = boost::urls::parse_origin_form({target.data(), target.size()});
  if (!url || url->params().size() > kMostParameters) return std::nullopt;
  Route route;
  std::vector<std::string> parts;
  for (const auto segment : url->segments()) parts.emplace_back(segment);
  for (const auto parameter : url->params())
    route.parameters.push_back({std::string(parameter.key), std::string(parameter.value)});
  route.path = url->path();
  route.what = what_of(route.path, parts, route.subject);
  return route;
}

std::string_view name(What what) noexcept {
  switch (what) {
    case What::unknown:
      return "unknown";
    case What::page:
      return "page";
    case What::health:
      return "healthz";
    case What::metrics:
      return "metrics";
    case What::provision:
      return "provision";
    case What::machines:
      return "machines";
    case What::machine:
      return "machine";
    case What::machine_deployments:
      return "machine-deployments";
    case What::machine_events:
      return "machine-events";
    case What::machine_reinstall:
      return "machine-reinstall";
    case What::deployment:
      return "deployment";
    case What::deployment_events:
      return "deployment-events";
    case What::os_images:
      return "osimages";
    case What::stream:
      return "stream";
  }
  return "unknown";
}

std::string_view methods(What what) noexcept {
  return what == What::machine_events || what == What::machine_reinstall ? "POST" : "GET, HEAD";
}

}  // namespace ingot::agent
