// Source: Metal3's baremetal-operator, api/v1alpha1 (BareMetalHost) and its provisioner for Ironic
// (what becomes of rootDeviceHints).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/resolution/chain.hpp"
#include "agent/text/mac_address.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

struct Hint {
  std::string_view metal3, ironic, form;
};
constexpr std::array kTexts = {
    Hint{"deviceName", "name", "s== "},
    Hint{"hctl", "hctl", "s== "},
    Hint{"model", "model", "<in> "},
    Hint{"vendor", "vendor", "<in> "},
    Hint{"serialNumber", "serial", "s== "},
    Hint{"wwn", "wwn", "s== "},
    Hint{"wwnWithExtension", "wwn_with_extension", "s== "},
    Hint{"wwnVendorExtension", "wwn_vendor_extension", "s== "},
};
constexpr std::string_view kByPath = "/dev/disk/by-path/";

YamlNode plain(std::string text) {
  YamlNode node = make_bool(true);
  node.text = std::move(text);
  return node;
}

// A field of another type than its own is refused; absent: nothing.
Result<const YamlNode*> number_or_bool(const ManifestReader& reader, const YamlNode& hints,
                                       std::string_view key, bool boolean) {
  const YamlNode* node = hints.find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::null) return nullptr;
  const bool right = node->kind == YamlNode::Kind::scalar && !node->string &&
                     (boolean ? node->text == "true" || node->text == "false"
                              : node->text.find_first_not_of("0123456789") == std::string::npos);
  if (!right)
    return reader.refuse(*node, fmt::format("spec.rootDeviceHints.{}", key),
                         boolean ? "true or false is wanted" : "a whole number is wanted");
  return node;
}

Result<std::string> hints_of(const ManifestReader& reader, const YamlNode& hints) {
  YamlNode all = make_map();
  for (const auto& [metal3, ironic, form] : kTexts) {
    INGOT_TRY_ASSIGN(
        const std::string value,
        reader.optional_text(hints, metal3, fmt::format("spec.rootDeviceHints.{}", metal3)));
    if (value.empty()) continue;
    const bool path = ironic == "name" && value.starts_with(kByPath);
    put(all, path ? "by_path" : ironic, make_string(std::string(form) + value));
  }
  INGOT_TRY_ASSIGN(const YamlNode* size, number_or_bool(reader, hints, "minSizeGigabytes", false));
  if (size != nullptr && size->text != "0") put(all, "size", make_string(">= " + size->text));
  INGOT_TRY_ASSIGN(const YamlNode* spins, number_or_bool(reader, hints, "rotational", true));
  if (spins != nullptr) put(all, "rotational", plain(spins->text));
  for (const auto& [key, value] : hints.members)
    if (key != "minSizeGigabytes" && key != "rotational" &&
        std::ranges::find(kTexts, key, &Hint::metal3) == kTexts.end())
      return reader.refuse(value, "spec.rootDeviceHints." + key, "Metal3 has no such hint");
  return all.members.empty() ? std::string() : write_json(all, JsonForm::one_line);
}

}  // namespace

Result<BareMetalHost> read_bare_metal_host(const Manifest& manifest) {
  const ManifestReader reader(manifest);
  if (manifest.kind != "BareMetalHost" || manifest.api_version != "metal3.io/v1alpha1")
    return reader.refuse(manifest.root, "kind",
                         fmt::format("'{}' of {} is not BareMetalHost of metal3.io/v1alpha1",
                                     manifest.kind, manifest.api_version));
  BareMetalHost host;
  host.name = manifest.name;
  host.file = manifest.file;
  INGOT_TRY_ASSIGN(const YamlNode* metadata, reader.map(manifest.root, "metadata", "metadata"));
  INGOT_TRY_ASSIGN(host.name_space,
                   reader.optional_text(*metadata, "namespace", "metadata.namespace"));
  const YamlNode* spec = manifest.root.find("spec");
  if (spec == nullptr || spec->kind == YamlNode::Kind::null) return host;
  INGOT_TRY_ASSIGN(spec, reader.map(manifest.root, "spec", "spec"));
  INGOT_TRY_ASSIGN(const std::string mac,
                   reader.optional_text(*spec, "bootMACAddress", "spec.bootMACAddress"));
  host.boot_mac_address = normal_mac(mac);
  if (!mac.empty() && host.boot_mac_address.empty())
    return reader.refuse(*spec->find("bootMACAddress"), "spec.bootMACAddress",
                         "not a MAC address, as 52:54:00:12:34:56 is one");
  const YamlNode* hints = spec->find("rootDeviceHints");
  if (hints == nullptr || hints->kind == YamlNode::Kind::null) return host;
  INGOT_TRY_ASSIGN(hints, reader.map(*spec, "rootDeviceHints", "spec.rootDeviceHints"));
  host.hints_line = hints->line;
  INGOT_TRY_ASSIGN(host.root_device_hints, hints_of(reader, *hints));
  return host;
}

}  // namespace ingot::agent
