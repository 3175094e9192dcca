/// Kubeconfig: the files in which kubectl keeps clusters, users and contexts.
/// Source: the Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files" and
/// "kubeconfig (v1)".
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/api_server.hpp"
#include "agent/kubernetes/server_url.hpp"
#include "agent/text/yaml_document.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// One or several files, merged as kubectl does: of entries with one name the first file's counts
/// whole, and so does the first current-context.
class Kubeconfig {
 public:
  /// `file`, which must be there. Errors: usage.option with file, line and field.
  static Result<Kubeconfig> load(const std::string& file);
  /// Those of $KUBECONFIG (a list with ':'; missing ones are passed over), else ~/.kube/config if
  /// it is there. Errors: usage.option.
  static Result<Kubeconfig> load_default();

  /// Server and credentials of `context` ("": the current one). Without `with_user` its user is
  /// not looked at. Errors: usage.option: no such context, malformed, what is not supported.
  [[nodiscard]] Result<ApiServer> of_context(const std::string& context, bool with_user) const;
  /// The same of the context whose cluster is at `url`; nothing if none is.
  [[nodiscard]] Result<std::optional<ApiServer>> of_server(const ServerUrl& url,
                                                           const std::string& context,
                                                           bool with_user) const;
  /// "/a, /b", or why there is none: for messages.
  [[nodiscard]] std::string describe() const;

 private:
  struct Entry {
    std::string file, folder;  // relative paths in it are relative to the folder
    YamlNode node;
  };
  using Entries = std::map<std::string, Entry>;

  // False if there is no such file, which is an error unless `may_be_missing`.
  Result<bool> add(const std::string& file, bool may_be_missing);
  Result<void> add_entries(const std::string& file, const YamlNode& root, std::string_view list,
                           std::string_view member, Entries& into);
  [[nodiscard]] Result<const Entry*> context_entry(const std::string& name) const;
  [[nodiscard]] Result<const Entry*> cluster_of(const std::string& context) const;
  [[nodiscard]] std::string context_names() const;

  std::vector<std::string> files_;
  Entries clusters_, users_, contexts_;
  std::string current_;
};

}  // namespace ingot::agent
