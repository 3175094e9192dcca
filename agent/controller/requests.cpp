#include "agent/controller/requests.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace ingot::agent {
namespace {

// The catalog, and the SSHKeys that stand beside the machines.
class CatalogAndKeys final : public Catalog {
 public:
  CatalogAndKeys(Catalog& catalog, const MachineManifests& manifests, const OnWarning& on_warning)
      : catalog_(catalog), manifests_(manifests), on_warning_(on_warning) {}

  Result<std::optional<OsImage>> find_image(const std::string& name) override {
    return catalog_.find_image(name);
  }
  Result<std::optional<SshKey>> find_ssh_key(const std::string& name) override {
    INGOT_TRY_ASSIGN(auto found, catalog_.find_ssh_key(name));
    const Manifest* const own = manifests_.find("SSHKey", name);
    if (found || own == nullptr) return found;
    INGOT_TRY_ASSIGN(auto key, read_ssh_key(*own, on_warning_));
    return key;
  }
  Result<std::vector<OsImage>> list_images() override { return catalog_.list_images(); }
  Result<std::vector<SshKey>> list_ssh_keys() override {
    INGOT_TRY_ASSIGN(auto keys, catalog_.list_ssh_keys());
    for (const Manifest& manifest : manifests_.others) {
      if (manifest.kind != "SSHKey") continue;
      INGOT_TRY_ASSIGN(auto key, read_ssh_key(manifest, on_warning_));
      keys.push_back(std::move(key));
    }
    return keys;
  }
  [[nodiscard]] std::string describe() const override { return catalog_.describe(); }

 private:
  Catalog& catalog_;
  const MachineManifests& manifests_;
  const OnWarning& on_warning_;
};

bool names_a_provider(const Machine& machine) {
  const YamlNode* const spec = machine.manifest.root.find("spec");
  return spec != nullptr && spec->find("providerRef") != nullptr;
}

}  // namespace

RequestMaker::RequestMaker(const MachineManifests& manifests, Catalog& catalog,
                           OnWarning on_warning)
    : manifests_(manifests), catalog_(catalog), on_warning_(std::move(on_warning)) {
  input_.manifests.the_only_one_counts = false;
  for (const Manifest& manifest : manifests.others) {
    if (manifest.kind == "NodeProvider") input_.manifests.node_providers.push_back(manifest);
    if (manifest.kind == "NodeType") input_.manifests.node_types.push_back(manifest);
    if (manifest.kind == "NodeEnvironment") input_.manifests.node_environments.push_back(manifest);
  }
}

Result<DeployRequest> RequestMaker::make(const Machine& machine) {
  input_.manifests.machines = {machine.manifest};
  input_.manifests.bare_metal_hosts.clear();
  if (const Manifest* const host = manifests_.find("BareMetalHost", machine.server_name))
    input_.manifests.bare_metal_hosts.push_back(*host);
  const auto& providers = input_.manifests.node_providers;
  if (!providers.empty() && !names_a_provider(machine) && on_warning_)
    on_warning_(
        fmt::format("{}: the machine {} names no NodeProvider (spec.providerRef): the "
                    "properties of {} do not count for it",
                    machine.manifest.file, machine.name, providers.front().name));
  CatalogAndKeys catalog(catalog_, manifests_, on_warning_);
  INGOT_TRY_ASSIGN(auto resolution, resolve(input_, catalog));
  for (const std::string& warning : resolution.warnings)
    if (on_warning_) on_warning_(fmt::format("the machine {}: {}", machine.name, warning));
  if (!resolution.request) return fail(Errc::internal_bug, "nothing came of the resolution");
  return *std::move(resolution.request);
}

}  // namespace ingot::agent
