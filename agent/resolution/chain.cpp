#include "agent/resolution/chain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace ingot::agent {
namespace {

// Whose name a link goes by, and where that is said.
struct Wanted {
  std::string name;  // "": nothing names one
  std::string says;  // "m.yaml:3: Machine 'm': spec.typeRef"
};

class Linker {
 public:
  explicit Linker(const ChainManifests& given) : given_(given) {}

  Result<Chain> link() {
    INGOT_TRY(find_machine());
    INGOT_TRY(add_provider());
    INGOT_TRY(add_type());
    INGOT_TRY(add_environment());
    if (machine_ != nullptr) {
      INGOT_TRY(add(*machine_, machine_->root, "spec"));
      chain_.machine = machine_->name;
    }
    INGOT_TRY(find_host());
    return std::move(chain_);
  }

 private:
  Result<void> find_machine() {
    if (given_.machines.size() > 1)
      return fail(Errc::usage_manifest,
                  fmt::format("{}: a second machine, '{}'; one is resolved at a time",
                              given_.machines[1].file, given_.machines[1].name));
    if (given_.machines.empty()) return {};
    machine_ = &given_.machines.front();
    const ManifestReader reader(*machine_);
    return reader.must_be(machine_->kind == "NodeClaim" ? "NodeClaim" : "Machine");
  }

  // A reference in the machine's spec: a name, or a map with one.
  Result<Wanted> reference(std::string_view key) const {
    if (machine_ == nullptr) return Wanted{};
    const ManifestReader reader(*machine_);
    const YamlNode* spec = machine_->root.find("spec");
    const YamlNode* node = spec != nullptr ? spec->find(key) : nullptr;
    if (node == nullptr || node->kind == YamlNode::Kind::null) return Wanted{};
    const std::string field = fmt::format("spec.{}", key);
    Wanted wanted;
    wanted.says = reader.remark(*node, field, "it");
    if (node->kind == YamlNode::Kind::map) {
      INGOT_TRY_ASSIGN(const YamlNode* name, reader.text(*node, "name", field + ".name"));
      wanted.name = name->text;
    } else {
      INGOT_TRY(reader.must_be_string(*node, field));
      wanted.name = node->text;
    }
    return wanted;
  }

  // The manifest that is wanted, or nullptr where there is no such link.
  Result<const Manifest*> choose(const std::vector<Manifest>& from, std::string_view kind,
                                 const Wanted& wanted) const {
    for (const Manifest& manifest : from) INGOT_TRY(ManifestReader(manifest).must_be(kind));
    if (wanted.name.empty()) {
      if (!given_.the_only_one_counts || from.empty()) return nullptr;
      if (from.size() == 1) return &from.front();
      return fail(Errc::usage_manifest,
                  fmt::format("{}s {}, and nothing says which", kind, names_of(from)),
                  "name it in the Machine, or give one alone");
    }
    const Manifest* chosen = nullptr;
    for (const Manifest& manifest : from) {
      if (manifest.name != wanted.name) continue;
      if (chosen != nullptr)
        return ManifestReader(manifest).refuse(
            *manifest.root.find("metadata")->find("name"), "metadata.name",
            fmt::format("there is another {} called '{}' in {}:{}", kind, manifest.name,
                        chosen->file, chosen->root.line));
      chosen = &manifest;
    }
    return chosen;
  }

  static std::string names_of(const std::vector<Manifest>& manifests) {
    std::vector<std::string> names;
    for (const auto& manifest : manifests) names.push_back(manifest.name);
    return fmt::format("{}", fmt::join(names, ", "));
  }

  static tl::unexpected<Error> not_given(const Wanted& wanted, std::string_view kind,
                                         const std::vector<Manifest>& given) {
    return fail(Errc::usage_manifest,
                fmt::format("{} names the {} '{}', which is not given{}", wanted.says, kind,
                            wanted.name, given.empty() ? "" : "; there is " + names_of(given)),
                "give its manifest, so that none of its properties is left out");
  }

  Result<void> add_provider() {
    INGOT_TRY_ASSIGN(const Wanted wanted, reference("providerRef"));
    INGOT_TRY_ASSIGN(provider_, choose(given_.node_providers, "NodeProvider", wanted));
    if (provider_ != nullptr) return add(*provider_, provider_->root, "spec");
    if (!wanted.name.empty()) return not_given(wanted, "NodeProvider", given_.node_providers);
    return {};
  }

  Result<void> add_type() {
    INGOT_TRY_ASSIGN(Wanted wanted, reference("typeRef"));
    if (!given_.node_type.empty()) wanted = {given_.node_type, "--node-type"};
    INGOT_TRY_ASSIGN(const Manifest* type, choose(given_.node_types, "NodeType", wanted));
    if (type != nullptr) {
      name_type(type->name, {type->kind, type->name, type->file, type->root.line});
      return add(*type, type->root, "spec");
    }
    if (wanted.name.empty()) return {};
    return add_entry(wanted);
  }

  // One of the provider's spec.metal3.nodeTypes.
  Result<void> add_entry(const Wanted& wanted) {
    if (provider_ == nullptr) return not_given(wanted, "NodeType", given_.node_types);
    const ManifestReader reader(*provider_);
    const YamlNode* spec = provider_->root.find("spec");
    const YamlNode* metal3 = spec != nullptr ? spec->find("metal3") : nullptr;
    const YamlNode* types = metal3 != nullptr ? metal3->find("nodeTypes") : nullptr;
    if (types != nullptr && types->kind != YamlNode::Kind::sequence &&
        types->kind != YamlNode::Kind::null)
      return reader.refuse(*types, "spec.metal3.nodeTypes",
                           fmt::format("a list is wanted, {} is there", types->describe()));
    std::vector<std::string> names;
    const YamlNode* found = nullptr;
    std::string field;
    for (std::size_t i = 0; types != nullptr && i < types->items.size(); ++i) {
      const YamlNode& item = types->items[i];
      const std::string at = fmt::format("spec.metal3.nodeTypes[{}]", i);
      INGOT_TRY_ASSIGN(const YamlNode* name, reader.text(item, "name", at + ".name"));
      names.push_back(name->text);
      if (name->text != wanted.name) continue;
      if (found != nullptr)
        return reader.refuse(*name, at + ".name",
                             fmt::format("a second node type '{}'", wanted.name));
      found = &item;
      field = at;
    }
    if (found == nullptr)
      return fail(Errc::usage_manifest,
                  fmt::format("{}: there is no NodeType '{}': NodeProvider '{}' ({}) has {}",
                              wanted.says, wanted.name, provider_->name, provider_->file,
                              names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))),
                  "name one of them, or give the NodeType's manifest");
    name_type(wanted.name, {"NodeType", wanted.name, provider_->file, found->line});
    return add_properties(reader, *found, field, {"NodeType", wanted.name, provider_->file, 0});
  }

  void name_type(const std::string& name, Origin origin) {
    chain_.properties.set(std::string(kNodeType), name, std::move(origin));
  }

  // Its name may be said by a property of any link, the Machine's own included.
  Result<void> add_environment() {
    INGOT_TRY_ASSIGN(Wanted wanted, reference("environmentRef"));
    PropertySet named = chain_.properties;
    if (machine_ != nullptr) {
      Linker alone(given_);
      INGOT_TRY(alone.add(*machine_, machine_->root, "spec"));
      if (const Property* own = alone.chain_.properties.find(kNetworkEnvironment))
        named.set(own->name, own->value, own->origin);
    }
    if (const Property* property = named.find(kNetworkEnvironment))
      wanted = {property->value, fmt::format("{}: {}", property->origin.place(), property->name)};
    INGOT_TRY_ASSIGN(const Manifest* environment,
                     choose(given_.node_environments, "NodeEnvironment", wanted));
    if (environment != nullptr) return add(*environment, environment->root, "spec");
    if (!wanted.name.empty()) return not_given(wanted, "NodeEnvironment", given_.node_environments);
    return {};
  }

  Result<void> find_host() {
    std::vector<BareMetalHost> hosts;
    for (const Manifest& manifest : given_.bare_metal_hosts) {
      INGOT_TRY_ASSIGN(BareMetalHost host, read_bare_metal_host(manifest));
      hosts.push_back(std::move(host));
    }
    const std::string server = chain_.properties.value(kServerName);
    const auto named = std::ranges::find(hosts, server, &BareMetalHost::name);
    if (named != hosts.end()) {
      chain_.host = *named;
    } else if (given_.the_only_one_counts && !hosts.empty()) {
      if (!server.empty())
        return chain_.properties.refuse(
            kServerName, fmt::format("it names '{}', and the BareMetalHost that is given is {}",
                                     server, names_of(given_.bare_metal_hosts)));
      if (hosts.size() > 1)
        return fail(Errc::usage_manifest,
                    fmt::format("BareMetalHosts {}, and no {} says which",
                                names_of(given_.bare_metal_hosts), kServerName));
      chain_.host = hosts.front();
    }
    return {};
  }

  Result<void> add(const Manifest& manifest, const YamlNode& root, std::string_view field) {
    const ManifestReader reader(manifest);
    const YamlNode* spec = root.find("spec");
    if (spec == nullptr || spec->kind == YamlNode::Kind::null) return {};
    if (spec->kind != YamlNode::Kind::map)
      return reader.refuse(*spec, "spec",
                           fmt::format("a map is wanted, {} is there", spec->describe()));
    return add_properties(reader, *spec, std::string(field),
                          {manifest.kind, manifest.name, manifest.file, 0});
  }

  Result<void> add_properties(const ManifestReader& reader, const YamlNode& holder,
                              const std::string& field, Origin origin) {
    const YamlNode* properties = holder.find("properties");
    if (properties == nullptr || properties->kind == YamlNode::Kind::null) return {};
    if (properties->kind != YamlNode::Kind::map)
      return reader.refuse(*properties, field + ".properties",
                           fmt::format("a map is wanted, {} is there", properties->describe()));
    const bool machine = origin.kind == "Machine" || origin.kind == "NodeClaim";
    for (const auto& [name, value] : properties->members) {
      const std::string at = fmt::format("{}.properties[{}]", field, name);
      INGOT_TRY(reader.must_be_string(value, at));
      if (!machine && belongs_on_machine(name))
        return reader.refuse(
            value, at, "it is about one machine, and belongs on a Machine or NodeClaim alone");
      origin.line = value.line;
      chain_.properties.set(name, value.text, origin);
    }
    return {};
  }

  const ChainManifests& given_;
  const Manifest* machine_ = nullptr;
  const Manifest* provider_ = nullptr;
  Chain chain_;
};

}  // namespace

Result<Chain> link(const ChainManifests& manifests) {
  return Linker(manifests).link();
}

}  // namespace ingot::agent
