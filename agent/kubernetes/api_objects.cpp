#include "agent/kubernetes/api_objects.hpp"

#include <boost/json.hpp>

#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

std::string shown(const std::string& text) {
  constexpr std::size_t kMost = 500;
  return printable(utf8(std::string_view(text).substr(0, kMost))) +
         (text.size() > kMost ? "…" : "");
}

ApiObject object_of(json::object object) {
  ApiObject out;
  if (json::value* const metadata = object.if_contains("metadata");
      metadata != nullptr && metadata->is_object()) {
    out.name = string_in(metadata->get_object(), "name");
    out.version = string_in(metadata->get_object(), "resourceVersion");
    // Whose fields are whose: larger than the object, and nothing to us.
    metadata->get_object().erase("managedFields");
  }
  out.json = json::serialize(object);
  return out;
}

ApiStatus status_of(const json::object& object) {
  ApiStatus status;
  status.code = static_cast<long>(integer_in(object, "code").value_or(0));
  status.reason = shown(string_in(object, "reason"));
  status.message = shown(string_in(object, "message"));
  if (const json::object* const details = object_in(object, "details"))
    status.object = shown(string_in(*details, "name"));
  return status;
}

}  // namespace

std::optional<ApiPage> read_api_page(std::string_view text) {
  auto list = parse_json_object(text);
  if (!list) return std::nullopt;
  std::string kind = string_in(*list, "kind");
  const json::object* const metadata = object_in(*list, "metadata");
  json::value* const items = list->if_contains("items");
  if (!kind.ends_with("List") || metadata == nullptr || items == nullptr) return std::nullopt;
  ApiPage page;
  page.next = string_in(*metadata, "continue");
  page.version = string_in(*metadata, "resourceVersion");
  if (items->is_null()) return page;  // as servers written in Go write no items
  if (!items->is_array()) return std::nullopt;
  kind.resize(kind.size() - std::string_view("List").size());
  const std::string version = string_in(*list, "apiVersion");
  for (json::value& item : items->get_array()) {
    if (!item.is_object()) return std::nullopt;
    json::object& object = item.get_object();
    // Servers leave out what the list says for all of them.
    if (!object.contains("kind")) object["kind"] = kind;
    if (!object.contains("apiVersion")) object["apiVersion"] = version;
    page.objects.push_back(object_of(std::move(object)));
  }
  return page;
}

std::optional<ApiObject> read_api_object(std::string_view text) {
  auto object = parse_json_object(text);
  if (!object || !object->contains("kind")) return std::nullopt;
  return object_of(std::move(*object));
}

std::optional<ApiStatus> read_api_status(std::string_view text) {
  const auto object = parse_json_object(text);
  if (!object || string_in(*object, "kind") != "Status") return std::nullopt;
  return status_of(*object);
}

std::optional<ApiEvent> read_api_event(std::string_view line) {
  auto parsed = parse_json_object(line);
  if (!parsed) return std::nullopt;
  const std::string type = string_in(*parsed, "type");
  json::value* const object = parsed->if_contains("object");
  if (object == nullptr || !object->is_object()) return std::nullopt;
  ApiEvent event;
  if (type == "ERROR") {
    event.status = status_of(object->get_object());
    return event;
  }
  if (type == "ADDED") {
    event.type = ApiEvent::Type::added;
  } else if (type == "MODIFIED") {
    event.type = ApiEvent::Type::modified;
  } else if (type == "DELETED") {
    event.type = ApiEvent::Type::deleted;
  } else if (type == "BOOKMARK") {
    event.type = ApiEvent::Type::bookmark;
  } else {
    return std::nullopt;
  }
  event.object = object_of(std::move(object->get_object()));
  return event;
}

}  // namespace ingot::agent
