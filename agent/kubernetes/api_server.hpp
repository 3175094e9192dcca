/// ApiServer: a Kubernetes API server and as whom it is asked, and how a user chooses one.
#pragma once

#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// What a user may say about it; "" is left open.
struct KubernetesOptions {
  std::string server;      ///< a URL
  std::string kubeconfig;  ///< a file; "": those of $KUBECONFIG, else ~/.kube/config
  std::string context;     ///< of the kubeconfig; "": its current-context
  std::string token_file;  ///< read again for every request
  std::string ca_file;     ///< PEM
  std::string client_cert_file, client_key_file;  ///< PEM; both or neither
  bool tls_insecure = false;
  bool in_cluster = false;  ///< the service account of the Pod that this runs in
  /// Where a Pod finds its service account.
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
};

/// Whether `catalog`, the value of --catalog, is an API server: "kubeconfig:",
/// "kubeconfig:CONTEXT", "in-cluster", an http or https URL. Then `into` says so as well; else it
/// is a directory. Errors: usage.option: an URL of another scheme, a context beside another one.
Result<bool> read_catalog_option(const std::string& catalog, KubernetesOptions& into);

/// Where to ask and how.
struct ApiServer {
  std::string url;              ///< as parse_server_url() writes it
  std::string ca_pem, ca_file;  ///< one or none ("the system's")
  bool tls_insecure = false;
  std::string tls_server_name;  ///< "": the URL's host
  std::string proxy;            ///< "": the environment's
  std::string client_cert_pem, client_key_pem, client_cert_file, client_key_file;
  std::string token;       ///< a secret
  std::string token_file;  ///< wins over `token`; its content changes
  std::string origin;      ///< "the context prod of /root/.kube/config": for messages

  [[nodiscard]] bool has_credentials() const noexcept {
    return !token.empty() || !token_file.empty() || !client_cert_pem.empty() ||
           !client_cert_file.empty();
  }
};

/// Chooses by `options`:
///   in_cluster: KUBERNETES_SERVICE_HOST and _PORT, and the service account's files.
///   no server:  the context of the kubeconfig.
///   a server:   with a token or a client certificate of the options, and neither kubeconfig nor
///               context: these alone. Else the context whose cluster has this server (the named
///               one, the current one, else the only one); else, if it is the Pod's own cluster,
///               its service account. Nobody else's credentials are ever sent to it.
/// What the options say of credentials and CA replaces what the kubeconfig says; then its user is
/// not looked at (whose plugins would be refused).
///
/// Errors: usage.option: nothing that fits, malformed, credentials for plain http to another
/// machine.
Result<ApiServer> choose_api_server(const KubernetesOptions& options);

}  // namespace ingot::agent
