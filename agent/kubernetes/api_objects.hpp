/// What a Kubernetes API server answers: lists, watch events, Status objects, as far as a catalog
/// needs them. The only file of this room that knows JSON.
/// Source: the Kubernetes documentation, "Kubernetes API Concepts"; apimachinery's meta/v1 types.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

/// One object, which has been looked at no further.
struct ApiObject {
  std::string name;     ///< metadata.name, or "": it has none
  std::string version;  ///< metadata.resourceVersion
  std::string json;     ///< with apiVersion and kind, without managedFields
};

/// One page of a list.
struct ApiPage {
  std::vector<ApiObject> objects;
  std::string next;     ///< metadata.continue; "": this is the last
  std::string version;  ///< metadata.resourceVersion: of the whole list
};

/// A Status object: why something failed. Its texts are printable, at most 500 bytes each.
struct ApiStatus {
  long code = 0;
  std::string reason;   ///< "NotFound", "Forbidden", "Expired"
  std::string message;  ///< for people
  std::string object;   ///< details.name: of which object
};

/// One line of a watch.
struct ApiEvent {
  enum class Type { added, modified, deleted, bookmark, error };
  Type type = Type::error;
  ApiObject object;  ///< unless it is an error; of a bookmark, the version alone
  ApiStatus status;  ///< of an error
};

/// Each: nothing if the text is not that.
std::optional<ApiPage> read_api_page(std::string_view text);
std::optional<ApiObject> read_api_object(std::string_view text);
std::optional<ApiStatus> read_api_status(std::string_view text);
std::optional<ApiEvent> read_api_event(std::string_view line);

}  // namespace ingot::agent
