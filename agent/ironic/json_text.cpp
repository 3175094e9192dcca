#include "agent/ironic/json_text.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kDeepest = 32;
constexpr std::string_view kMask = "***";

bool secret(std::string_view name) {
  static constexpr std::array kExact{"configdrive",       "system_logs",     "user_data",
                                     "image_pull_secret", "oci_pull_secret", "rescue_password"};
  static constexpr std::array kParts{"password", "token", "authorization", "secret"};
  return std::ranges::any_of(kExact, [&](std::string_view word) { return name == word; }) ||
         std::ranges::any_of(kParts, [&](std::string_view part) {
           return name.find(part) != std::string_view::npos;
         });
}

// A proxy may be named without a scheme, and is no URL then: "user:password@proxy:3128".
bool names_proxies(std::string_view name) {
  return name.find("prox") != std::string_view::npos;
}

std::string without_userinfo(std::string_view proxy) {
  const auto at = proxy.rfind('@');
  return at == std::string_view::npos ? std::string(proxy) : "***" + std::string(proxy.substr(at));
}

json::value masked_value(const json::value& value, bool proxies) {
  if (value.is_object()) {
    json::object out;
    for (const auto& [name, member] : value.get_object()) {
      const std::string_view key(name.data(), name.size());
      const bool hidden = secret(key) && !member.is_null();
      out[name] = hidden ? json::value(kMask) : masked_value(member, proxies || names_proxies(key));
    }
    return out;
  }
  if (value.is_array()) {
    json::array out;
    for (const auto& item : value.get_array()) out.push_back(masked_value(item, proxies));
    return out;
  }
  if (value.is_string()) {
    const std::string_view text(value.get_string());
    if (text.find("://") != std::string_view::npos) return json::value(redacted(text));
    if (proxies) return json::value(without_userinfo(text));
  }
  return value;
}

}  // namespace

std::optional<json::object> parse_json_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDeepest;
  json::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

const json::object* object_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value != nullptr ? value->if_object() : nullptr;
}

std::string string_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string());
}

std::optional<std::int64_t> integer_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr) return std::nullopt;
  json::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  if (error) return std::nullopt;
  return number;
}

std::optional<bool> bool_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  if (!value->is_string()) return std::nullopt;
  const auto& word = value->get_string();
  for (const auto* yes : {"true", "True", "1", "yes", "on"})
    if (word == yes) return true;
  for (const auto* no : {"false", "False", "0", "no", "off"})
    if (word == no) return false;
  return std::nullopt;
}

json::value masked(const json::value& value) {
  return masked_value(value, false);
}

}  // namespace ingot::agent
