#include "agent/kubernetes/kubernetes_catalog.hpp"

#include <map>
#include <utility>

#include "agent/kubernetes/api_client.hpp"
#include "agent/kubernetes/decoding.hpp"

namespace ingot::agent {
namespace {

class KubernetesCatalog final : public Catalog {
 public:
  KubernetesCatalog(std::unique_ptr<ApiClient> client, OnWarning on_warning, std::stop_token stop)
      : client_(std::move(client)),
        on_warning_(on_warning ? std::move(on_warning) : [](const std::string&) {}),
        stop_(std::move(stop)) {}

  Result<std::optional<OsImage>> find_image(const std::string& name) override {
    return find<OsImage>(kOsImageResource, name, &decode_os_image);
  }
  Result<std::optional<SshKey>> find_ssh_key(const std::string& name) override {
    return find<SshKey>(kSshKeyResource, name, &decode_ssh_key);
  }

  Result<std::vector<OsImage>> list_images() override {
    return list<OsImage>(kOsImageResource, &decode_os_image);
  }
  Result<std::vector<SshKey>> list_ssh_keys() override {
    return list<SshKey>(kSshKeyResource, &decode_ssh_key);
  }

  [[nodiscard]] std::string describe() const override {
    return "the Kubernetes API server " + client_->server().url;
  }

 private:
  template <class T>
  using Decode = Result<T> (*)(const ApiObject&, const std::string& server, const OnWarning&);

  template <class T>
  Result<std::optional<T>> find(std::string_view resource, const std::string& name,
                                Decode<T> decode) {
    if (!is_object_name(name)) return std::optional<T>();
    INGOT_TRY_ASSIGN(const auto object, client_->get(std::string(resource), name, stop_));
    if (!object) return std::optional<T>();
    INGOT_TRY_ASSIGN(T decoded, decode(*object, client_->server().url, on_warning_));
    return std::optional<T>(std::move(decoded));
  }

  template <class T>
  Result<std::vector<T>> list(std::string_view resource, Decode<T> decode) {
    INGOT_TRY_ASSIGN(const ApiList listed, client_->list(std::string(resource), stop_));
    // Should pages overlap, the later one is the newer one.
    std::map<std::string, T> by_name;
    for (const ApiObject& object : listed.objects) {
      auto decoded = decode(object, client_->server().url, on_warning_);
      if (decoded)
        by_name.insert_or_assign(object.name, std::move(*decoded));
      else
        on_warning_("left out: " + decoded.error().message());
    }
    std::vector<T> all;
    all.reserve(by_name.size());
    for (auto& [name, one] : by_name) all.push_back(std::move(one));
    return all;
  }

  std::unique_ptr<ApiClient> client_;
  OnWarning on_warning_;
  std::stop_token stop_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> open_kubernetes_catalog(const KubernetesOptions& options,
                                                         const OnWarning& on_warning,
                                                         std::stop_token stop) {
  INGOT_TRY_ASSIGN(ApiServer server, choose_api_server(options));
  INGOT_TRY_ASSIGN(auto client, ApiClient::make(std::move(server)));
  return std::unique_ptr<Catalog>(
      std::make_unique<KubernetesCatalog>(std::move(client), on_warning, std::move(stop)));
}

}  // namespace ingot::agent
