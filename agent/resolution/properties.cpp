#include "agent/resolution/properties.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace ingot::agent {
namespace {

template <class Properties>
auto at(Properties& properties, std::string_view name) {
  return std::ranges::lower_bound(properties, name, {}, [](const Property& property) {
    return std::string_view(property.name);
  });
}

}  // namespace

std::string Origin::object() const {
  return name.empty() ? kind : fmt::format("{} '{}'", kind, name);
}

std::string Origin::place() const {
  if (file.empty()) return object();
  if (kind.empty()) return fmt::format("{}:{}", file, line);
  return fmt::format("{}:{}: {}", file, line, object());
}

void PropertySet::set(const std::string& name, std::string value, Origin origin) {
  const auto there = at(properties_, name);
  if (there == properties_.end() || there->name != name) {
    properties_.insert(there, {name, std::move(value), std::move(origin), {}});
    return;
  }
  there->overrode.insert(there->overrode.begin(),
                         {std::exchange(there->value, std::move(value)),
                          std::exchange(there->origin, std::move(origin))});
}

void PropertySet::set_underneath(const std::string& name, std::string value, Origin origin) {
  const auto there = at(properties_, name);
  if (there == properties_.end() || there->name != name)
    properties_.insert(there, {name, std::move(value), std::move(origin), {}});
  else
    there->overrode.push_back({std::move(value), std::move(origin)});
}

const Property* PropertySet::find(std::string_view name) const {
  const auto there = at(properties_, name);
  return there != properties_.end() && there->name == name ? &*there : nullptr;
}

std::string PropertySet::value(std::string_view name) const {
  const Property* property = find(name);
  return property != nullptr ? property->value : "";
}

tl::unexpected<Error> PropertySet::refuse(std::string_view property, std::string_view why,
                                          std::string advice) const {
  if (advice.empty()) advice = "docs/resolution.md lists the properties and where each may stand";
  const Property* there = find(property);
  const std::string where = there != nullptr ? there->origin.place() + ": " : "";
  return fail(Errc::usage_manifest, fmt::format("{}{}: {}", where, property, why),
              std::move(advice));
}

bool belongs_on_machine(std::string_view name) noexcept {
  static constexpr std::array kThese = {kServerName, kMacAddresses, kSystemUuid, kSerialNumber,
                                        kReinstall};
  return std::ranges::find(kThese, name) != kThese.end();
}

std::vector<std::string> comma_separated(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t first = part.find_first_not_of(kBlank);
    if (first == std::string_view::npos) continue;
    part = part.substr(first, part.find_last_not_of(kBlank) - first + 1);
    parts.emplace_back(part);
  }
  return parts;
}

}  // namespace ingot::agent
