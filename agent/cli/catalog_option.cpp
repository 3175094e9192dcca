#include "agent/cli/catalog_option.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/grammar.hpp"
#include "agent/kubernetes/kubernetes_catalog.hpp"
#include "agent/osimage/directory_catalog.hpp"

namespace ingot::agent {
namespace {

// The first of the options that was given, or "".
std::string_view given(const KubernetesOptions& api) {
  if (api.tls_insecure) return "--tls-insecure";
  const std::pair<std::string_view, const std::string*> values[] = {
      {"--kubeconfig", &api.kubeconfig},        {"--context", &api.context},
      {"--token-file", &api.token_file},        {"--ca-cert", &api.ca_file},
      {"--client-cert", &api.client_cert_file}, {"--client-key", &api.client_key_file}};
  const auto* const found =
      std::ranges::find_if(values, [](const auto& value) { return !value.second->empty(); });
  return found != std::end(values) ? found->first : "";
}

}  // namespace

void add_api_server_options(CLI::App& app, KubernetesOptions& into) {
  const OptionGroup add(app, "API server (--catalog kubeconfig:, in-cluster or a URL)");
  add.value("--kubeconfig", into.kubeconfig, "FILE",
            "(default: those of $KUBECONFIG, else ~/.kube/config)");
  add.value("--context", into.context, "NAME", "of the kubeconfig (default: the current one)");
  add.value("--token-file", into.token_file, "FILE",
            "file whose first line is the bearer token, instead of\nthe kubeconfig's user");
  add.value("--client-cert", into.client_cert_file, "FILE", "client certificate (PEM), the same");
  add.value("--client-key", into.client_key_file, "FILE", "its key (PEM)");
  add.value("--ca-cert", into.ca_file, "FILE", "trust the CA certificates in this PEM file alone");
  add.flag("--tls-insecure", into.tls_insecure, "do not verify who the server is (dangerous)");
}

Result<std::unique_ptr<Catalog>> open_catalog(const std::string& option, KubernetesOptions api,
                                              const OnWarning& on_warning) {
  const auto beside = given(api);
  INGOT_TRY_ASSIGN(const bool is_api, read_catalog_option(option, api));
  if (is_api) return open_kubernetes_catalog(api, on_warning);
  if (!beside.empty())
    return fail(
        Errc::usage_option,
        fmt::format("{} is for an API server, and --catalog {} is a directory", beside, option),
        "say --catalog kubeconfig:, in-cluster or a URL; docs/kubernetes.md");
  return open_directory_catalog(option, on_warning);
}

}  // namespace ingot::agent
