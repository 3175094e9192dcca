/// ApiClient: requests to one Kubernetes API server, and what its refusals mean.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/http/http_client.hpp"
#include "agent/kubernetes/api_objects.hpp"
#include "agent/kubernetes/api_server.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A list that is complete, and of one moment.
struct ApiList {
  std::vector<ApiObject> objects;
  std::string version;  ///< from where a watch goes on
};

/// Knows the objects of one API group, management.loft.sh/v1. One thread at a time.
class ApiClient {
 public:
  /// Errors: usage.option: a file with credentials that cannot be read.
  static Result<std::unique_ptr<ApiClient>> make(ApiServer server);

  /// `resource`: "osimages". Nothing: there is no object of this name. Answers of 429 and 5xx are
  /// asked again a few times, after the Retry-After of at most 10 seconds.
  ///
  /// Errors: controller.unreachable; controller.refused: the credentials are not accepted (401),
  /// there is no such API (404), anything else; access.denied: 403 for this object; cancelled.
  Result<std::optional<ApiObject>> get(const std::string& resource, const std::string& name,
                                       const std::stop_token& stop);

  /// All of them, page by page; begins again when a page's token has expired (410).
  /// Errors: as those of get(), but 403 is controller.refused: nobody is kept from one image, these
  /// credentials are short of a role.
  Result<ApiList> list(const std::string& resource, const std::stop_token& stop);

  /// Changes after `version`, each handed to `on_event`, which says whether to go on. Ends well
  /// when the server or `on_event` ends it.
  /// Errors: as those of list(). What has expired (410) is no error: `expired` is set.
  Result<void> watch(const std::string& resource, const std::string& version,
                     const std::function<bool(ApiEvent)>& on_event, bool& expired,
                     const std::stop_token& stop);

  [[nodiscard]] const ApiServer& server() const noexcept { return server_; }

 private:
  explicit ApiClient(ApiServer server);

  Result<HttpExchange> request(const std::string& path);
  Result<HttpReply> ask(const std::string& path, const std::stop_token& stop);
  [[nodiscard]] Error explained(const Error& error) const;
  [[nodiscard]] Error refusal(const HttpReply& reply, std::string_view what, bool one_object) const;

  ApiServer server_;
  std::string shown_token_;  // the last one that the server was shown
  HttpClient client_;
  std::unique_ptr<HttpClient> watcher_;  // made when it is needed
};

}  // namespace ingot::agent
