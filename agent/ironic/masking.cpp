#include "agent/ironic/masking.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "agent/text/json_object.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

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
    if (out.contains("id") && out.contains("urls")) out["id"] = image_name(value.get_object());
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

std::string image_name(const json::object& image_info) {
  std::string id = string_in(image_info, "id");
  const json::value* urls = image_info.if_contains("urls");
  const json::array* list = urls != nullptr ? urls->if_array() : nullptr;
  if (list == nullptr || list->empty() || !list->front().is_string()) return id;
  std::string shown = redacted(std::string_view(list->front().get_string()));
  return shown.find(id) != std::string::npos ? id : shown;
}

json::value masked(const json::value& value) {
  return masked_value(value, false);
}

}  // namespace ingot::agent
