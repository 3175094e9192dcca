#include "agent/resolution/explanation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

YamlNode shown(std::string_view name, const std::string& value) {
  if (name != kUserData || value.empty()) return make_string(value);
  const auto ends = std::count(value.begin(), value.end(), '\n');
  const auto lines = ends + (value.back() == '\n' ? 0 : 1);
  return make_string(fmt::format("({} line{}, not shown)", lines, lines == 1 ? "" : "s"));
}

YamlNode from(const Origin& origin) {
  YamlNode map = make_map();
  put_text(map, "kind", origin.kind);
  put_text(map, "name", origin.name);
  put_text(map, "file", origin.file);
  if (origin.line > 0) {
    YamlNode line = make_bool(true);
    line.text = std::to_string(origin.line);
    put(map, "line", std::move(line));
  }
  return map;
}

}  // namespace

YamlNode explain(const Resolution& resolution) {
  YamlNode all = make_map();
  YamlNode& properties = put(all, "properties", make_sequence());
  for (const Property& property : resolution.properties.all()) {
    YamlNode item = make_map();
    put_text(item, "name", property.name);
    put(item, "value", shown(property.name, property.value));
    put(item, "from", from(property.origin));
    YamlNode overrode = make_sequence();
    for (const OtherValue& other : property.overrode) {
      YamlNode lost = make_map();
      put(lost, "value", shown(property.name, other.value));
      put(lost, "from", from(other.origin));
      overrode.items.push_back(std::move(lost));
    }
    put_unless_empty(item, "overrode", std::move(overrode));
    properties.items.push_back(std::move(item));
  }
  YamlNode left_out = make_sequence();
  for (const LeftOut& value : resolution.left_out) {
    YamlNode item = make_map();
    put_text(item, "name", value.name);
    put(item, "value", shown(value.name, value.value));
    put(item, "from", from(value.origin));
    put_text(item, "why", value.why);
    left_out.items.push_back(std::move(item));
  }
  put_unless_empty(all, "leftOut", std::move(left_out));
  YamlNode warnings = make_sequence();
  for (const auto& warning : resolution.warnings) warnings.items.push_back(make_string(warning));
  put_unless_empty(all, "warnings", std::move(warnings));
  return all;
}

}  // namespace ingot::agent
