#include "agent/text/json_object.hpp"

#include <boost/json.hpp>
#include <utility>

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kDeepest = 32;

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

}  // namespace ingot::agent
