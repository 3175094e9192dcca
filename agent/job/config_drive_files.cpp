// Sources: OpenStack Nova's doc/api_schemas/network_data.json; cloud-init 22.4, sources/helpers/
// openstack.py (which fields it cannot do without) and its NoCloud datasource (its names).
#include "agent/job/config_drive_files.hpp"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <string>

#include "agent/report/event.hpp"
#include "agent/text/yaml_document.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr const char* kAdvice = "docs/config-drive.md shows the forms of these files";
constexpr std::size_t kMaxDepth = 32;

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Errc::usage_config_drive, why, kAdvice);
}

// A reason of the YAML parser's without what it quotes from the file.
std::string without_quotes(const std::string& reason) {
  std::string out;
  bool quoted = false;
  for (const char c : reason) {
    if (c == '\'') {
      if (!quoted) out += "'…'";
      quoted = !quoted;
    } else if (!quoted) {
      out += c;
    }
  }
  return out;
}

// A plain scalar that is no string (YAML 1.2.2, 10.3.2: core schema), or nothing when JSON has no
// such number.
std::optional<json::value> plain_value(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return json::value(nullptr);
  if (text == "true" || text == "True" || text == "TRUE") return json::value(true);
  if (text == "false" || text == "False" || text == "FALSE") return json::value(false);
  const bool octal = text.starts_with("0o"), hex = text.starts_with("0x");
  std::string_view digits = octal || hex ? text.substr(2) : text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const char* const end = digits.data() + digits.size();
  std::int64_t whole = 0;
  const auto integer = std::from_chars(digits.data(), end, whole, octal ? 8 : hex ? 16 : 10);
  if (integer.ec == std::errc() && integer.ptr == end) return json::value(whole);
  double number = 0;
  const auto real = std::from_chars(digits.data(), end, number);
  if (octal || hex || real.ec != std::errc() || real.ptr != end ||
      digits.find_first_of("nN") != std::string_view::npos)  // inf, nan
    return std::nullopt;
  return json::value(number);
}

Result<json::value> to_json(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return json::value(nullptr);
    case YamlNode::Kind::scalar: {
      if (node.string) return json::value(node.text);
      auto value = plain_value(node.text);
      if (!value)
        return refuse(
            fmt::format("line {}: a number that JSON cannot hold; put it in quotes", node.line));
      return *std::move(value);
    }
    case YamlNode::Kind::sequence: {
      json::array list;
      for (const YamlNode& item : node.items) {
        INGOT_TRY_ASSIGN(json::value value, to_json(item));
        list.push_back(std::move(value));
      }
      return list;
    }
    case YamlNode::Kind::map: {
      json::object map;
      for (const YamlMember& member : node.members) {
        INGOT_TRY_ASSIGN(json::value value, to_json(member.value));
        map[member.name] = std::move(value);
      }
      return map;
    }
  }
  return json::value(nullptr);
}

Result<json::object> parse_map(std::string_view text) {
  if (text.size() > kMaxYamlSize) return refuse("it has more than 1 MiB");
  json::value value;
  json::error_code failed;
  json::parse_options options;
  options.max_depth = kMaxDepth;
  value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed) {
    const auto yaml = parse_yaml(text);
    if (!yaml) return refuse(without_quotes(yaml.error().message()));
    INGOT_TRY_ASSIGN(value, to_json(*yaml));
  }
  if (!value.is_object()) return refuse("neither a JSON object nor a YAML map");
  return std::move(value.get_object());
}

imaging::SecretBytes bytes_of(const json::object& map) {
  std::string text = json::serialize(map);
  const auto bytes = std::as_bytes(std::span(text));
  imaging::SecretBytes out(bytes.begin(), bytes.end());
  ::explicit_bzero(text.data(), text.size());
  return out;
}

// ---- network data ----

const json::array* list_of(const json::object& map, json::string_view key) {
  const json::value* const value = map.if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}

bool has_text(const json::object& map, json::string_view key) {
  const json::value* const value = map.if_contains(key);
  return value != nullptr && value->is_string() && !value->get_string().empty();
}

bool says(const json::object& map, json::string_view key, std::int64_t number) {
  const json::value* const value = map.if_contains(key);
  return value != nullptr && value->is_int64() && value->get_int64() == number;
}

// Which other kind of network configuration it is, or "".
std::string other_form(const json::object& map) {
  const json::value* const inner = map.if_contains("network");
  if (inner != nullptr && inner->is_object()) return other_form(inner->get_object());
  if (map.contains("config") || says(map, "version", 1))
    return "cloud-init's network configuration, version 1";
  for (const char* key : {"ethernets", "bonds", "bridges", "vlans", "wifis"})
    if (map.contains(key)) return "netplan's form (cloud-init's network configuration, version 2)";
  if (says(map, "version", 2))
    return "netplan's form (cloud-init's network configuration, version 2)";
  if (list_of(map, "interfaces") != nullptr) return "nmstate's form";
  return {};
}

// The first field that `link` must have and has not, as text, or "".
std::string lacking_in_link(const json::object& link) {
  for (const char* key : {"id", "type"})
    if (!has_text(link, key)) return fmt::format("no '{}' (a string)", key);
  const auto& type = link.at("type").get_string();
  if (type == "bond" && list_of(link, "bond_links") == nullptr)
    return "no 'bond_links' (a list), which a bond needs";
  if (type != "vlan") return {};
  if (!link.contains("vlan_id")) return "no 'vlan_id', which a vlan needs";
  for (const char* key : {"vlan_link", "vlan_mac_address"})
    if (!has_text(link, key)) return fmt::format("no '{}', which a vlan needs", key);
  return {};
}

Result<void> check_network_data(const json::object& map) {
  const json::array* const links = list_of(map, "links");
  if (links == nullptr) {
    const std::string form = other_form(map);
    return refuse(form.empty()
                      ? "it has no list called 'links', as OpenStack's network_data.json has"
                      : fmt::format("it is {}; a config drive carries OpenStack's "
                                    "network_data.json: 'links', 'networks', 'services'",
                                    form));
  }
  std::vector<json::string_view> ids;
  for (std::size_t i = 0; i < links->size(); ++i) {
    const json::object* const link = (*links)[i].if_object();
    if (link == nullptr) return refuse(fmt::format("links[{}] is no map", i));
    if (const auto lacking = lacking_in_link(*link); !lacking.empty())
      return refuse(fmt::format("links[{}] has {}", i, lacking));
    ids.push_back(link->at("id").get_string());
  }
  const json::array* const networks = list_of(map, "networks");
  if (networks == nullptr && map.contains("networks")) return refuse("'networks' is no list");
  for (std::size_t i = 0; networks != nullptr && i < networks->size(); ++i) {
    const json::object* const network = (*networks)[i].if_object();
    if (network == nullptr) return refuse(fmt::format("networks[{}] is no map", i));
    for (const char* key : {"link", "type"})
      if (!has_text(*network, key))
        return refuse(fmt::format("networks[{}] has no '{}' (a string)", i, key));
    if (std::ranges::find(ids, json::string_view(network->at("link").get_string())) == ids.end())
      return refuse(fmt::format("networks[{}]: its 'link' is no link's 'id'", i));
  }
  if (map.contains("services") && list_of(map, "services") == nullptr)
    return refuse("'services' is no list");
  return {};
}

// ---- meta data ----

// Makes `theirs`, NoCloud's name, `ours`.
void rename(json::object& map, json::string_view theirs, json::string_view ours) {
  const auto found = map.find(theirs);
  if (found == map.end()) return;
  json::value value = found->value();
  map.erase(found);
  if (!map.contains(ours)) map[ours] = std::move(value);
}

// A name that YAML took for a number stays a name.
Result<void> must_be_text(json::object& map, json::string_view key) {
  json::value* const value = map.if_contains(key);
  if (value == nullptr) return {};
  if (value->is_number()) *value = json::serialize(*value);
  if (!value->is_string() || value->get_string().empty())
    return refuse(fmt::format("'{}' is no string; put it in quotes", std::string_view(key)));
  return {};
}

}  // namespace

Result<imaging::SecretBytes> make_meta_data(std::optional<std::string_view> text) {
  json::object map;
  if (text) {
    INGOT_TRY_ASSIGN(map, parse_map(*text));
  }
  rename(map, "instance-id", "uuid");
  rename(map, "local-hostname", "hostname");
  rename(map, "public-keys", "public_keys");
  INGOT_TRY(must_be_text(map, "uuid"));
  INGOT_TRY(must_be_text(map, "hostname"));
  if (!map.contains("uuid")) map["uuid"] = random_uuid();
  return bytes_of(map);
}

Result<imaging::SecretBytes> make_network_data(std::string_view text) {
  INGOT_TRY_ASSIGN(const json::object map, parse_map(text));
  INGOT_TRY(check_network_data(map));
  return bytes_of(map);
}

}  // namespace ingot::agent
