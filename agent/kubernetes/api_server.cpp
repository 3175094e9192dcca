#include "agent/kubernetes/api_server.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "agent/kubernetes/kubeconfig.hpp"
#include "agent/kubernetes/server_url.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

// What every Pod is told of its cluster's API server.
// Source: the Kubernetes documentation, "Accessing the Kubernetes API from a Pod".
std::optional<std::string> pods_server() {
  const char* const host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* const port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr || *host == '\0' || *port == '\0') return std::nullopt;
  const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
  return fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

Result<ApiServer> in_cluster(const KubernetesOptions& options) {
  const auto url = pods_server();
  if (!url)
    return fail(Errc::usage_option,
                "in-cluster: this is no Pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT "
                "are not set",
                "use a kubeconfig: --catalog kubeconfig:");
  INGOT_TRY_ASSIGN(const ServerUrl parsed, parse_server_url(*url, "KUBERNETES_SERVICE_HOST"));
  ApiServer server;
  server.url = parsed.text;
  server.ca_file = options.service_account_dir + "/ca.crt";
  server.token_file = options.service_account_dir + "/token";
  server.origin = "the Pod's service account";
  return server;
}

// Whether `url` is the cluster's that this Pod runs in, by address or by the names it has there.
bool is_pods_own(const ServerUrl& url) {
  const auto own = pods_server();
  if (!own) return false;
  const auto parsed = parse_server_url(*own, "");
  if (parsed && parsed->text == url.text) return true;
  for (const char* const name : {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"})
    if (url.text == fmt::format("https://{}:443", name)) return true;
  return false;
}

Result<Kubeconfig> load(const KubernetesOptions& options) {
  return options.kubeconfig.empty() ? Kubeconfig::load_default()
                                    : Kubeconfig::load(options.kubeconfig);
}

Result<ApiServer> at_server(const KubernetesOptions& options, bool own_credentials) {
  INGOT_TRY_ASSIGN(const ServerUrl url, parse_server_url(options.server, "--catalog"));
  ApiServer plain;
  plain.url = url.text;
  plain.origin = "the options";
  const bool named = !options.kubeconfig.empty() || !options.context.empty();
  if (own_credentials && !named) return plain;
  INGOT_TRY_ASSIGN(const Kubeconfig config, load(options));
  INGOT_TRY_ASSIGN(auto found, config.of_server(url, options.context, !own_credentials));
  if (found) return *std::move(found);
  if (is_pods_own(url)) {
    INGOT_TRY_ASSIGN(ApiServer own, in_cluster(options));
    own.url = url.text;
    return own;
  }
  // `kubectl proxy`, or a server that is to be asked as nobody in particular.
  const bool meant = own_credentials || !options.ca_file.empty() || options.tls_insecure ||
                     (!url.https && url.loopback);
  if (meant) return plain;
  return fail(
      Errc::usage_option,
      fmt::format("no credentials for {}: {}", url.text,
                  config.describe() +
                      (config.describe().starts_with("no ") ? "" : " has no context for it")),
      "give --token-file, or --client-cert and --client-key; or the context with "
      "--kubeconfig and --context");
}

}  // namespace

Result<bool> read_catalog_option(const std::string& catalog, KubernetesOptions& into) {
  constexpr std::string_view kKubeconfig = "kubeconfig:";
  if (catalog == "in-cluster") {
    into.in_cluster = true;
    return true;
  }
  if (catalog.starts_with(kKubeconfig)) {
    const std::string context = catalog.substr(kKubeconfig.size());
    if (!context.empty() && !into.context.empty() && context != into.context)
      return fail(Errc::usage_option,
                  fmt::format("--catalog names the context {}, and --context {}",
                              printable(utf8(context)), printable(utf8(into.context))),
                  "leave one of them out");
    if (!context.empty()) into.context = context;
    return true;
  }
  if (catalog.find("://") == std::string::npos) return false;
  INGOT_TRY(parse_server_url(catalog, "--catalog"));
  into.server = catalog;
  return true;
}

Result<ApiServer> choose_api_server(const KubernetesOptions& options) {
  if (options.client_cert_file.empty() != options.client_key_file.empty())
    return fail(Errc::usage_option, "--client-cert and --client-key: one without the other",
                "give both");
  if (options.tls_insecure && !options.ca_file.empty())
    return fail(Errc::usage_option, "--tls-insecure beside --ca-cert: one of them is wrong",
                "leave --tls-insecure out");
  const bool own_credentials = !options.token_file.empty() || !options.client_cert_file.empty();
  ApiServer server;
  if (options.in_cluster) {
    INGOT_TRY_ASSIGN(server, in_cluster(options));
  } else if (!options.server.empty()) {
    INGOT_TRY_ASSIGN(server, at_server(options, own_credentials));
  } else {
    INGOT_TRY_ASSIGN(const Kubeconfig config, load(options));
    INGOT_TRY_ASSIGN(server, config.of_context(options.context, !own_credentials));
  }
  if (own_credentials) {
    server.token.clear();
    server.client_cert_pem.clear();
    server.client_key_pem.clear();
    server.token_file = options.token_file;
    server.client_cert_file = options.client_cert_file;
    server.client_key_file = options.client_key_file;
  }
  if (!options.ca_file.empty() || options.tls_insecure) {
    server.ca_pem.clear();
    server.ca_file = options.ca_file;
    server.tls_insecure = options.tls_insecure;
  }
  INGOT_TRY_ASSIGN(const ServerUrl url, parse_server_url(server.url, "--catalog"));
  if (!url.https && !url.loopback && server.has_credentials())
    return fail(
        Errc::usage_option,
        fmt::format("{}: credentials are not sent without TLS to another machine", url.text),
        "use https");
  return server;
}

}  // namespace ingot::agent
