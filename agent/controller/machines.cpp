#include "agent/controller/machines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "agent/resolution/chain.hpp"
#include "agent/resolution/properties.hpp"
#include "agent/text/mac_address.hpp"
#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

Result<std::vector<std::string>> manifest_files(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    const std::string extension = entry->path().extension();
    if (!name.starts_with('.') &&
        (extension == ".yaml" || extension == ".yml" || extension == ".json"))
      files.push_back(entry->path());
  }
  if (error)
    return tl::unexpected(system_error(Errc::usage_manifest, "reading the directory " + directory,
                                       error.value(), "name a directory of manifests"));
  std::ranges::sort(files);
  return files;
}

// A name of Kubernetes (RFC 1123), which is a part of URLs as it is.
bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return edge(name.front()) && edge(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return edge(c) || c == '-' || c == '.'; });
}

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1));
}

// spec.properties alone: these are a machine's own, and come from no other manifest.
class Properties {
 public:
  explicit Properties(const ManifestReader& reader) : reader_(reader) {
    if (const auto* spec = reader.manifest().root.find("spec")) node_ = spec->find("properties");
  }

  Result<std::string> get(std::string_view name) const {
    if (node_ == nullptr) return std::string();
    INGOT_TRY_ASSIGN(const std::string value,
                     reader_.optional_text(*node_, name, fmt::format("spec.properties[{}]", name)));
    return trimmed(value);
  }
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view name, std::string_view why) const {
    const YamlNode* node = node_ != nullptr ? node_->find(name) : nullptr;
    return reader_.refuse(node != nullptr ? *node : reader_.manifest().root,
                          fmt::format("spec.properties[{}]", name), why);
  }

 private:
  const ManifestReader& reader_;
  const YamlNode* node_ = nullptr;
};

Result<Machine> read_machine(Manifest manifest) {
  Machine machine;
  machine.name = manifest.name;
  machine.manifest = std::move(manifest);
  const ManifestReader reader(machine.manifest);
  if (!is_platforms(machine.manifest))
    return reader.refuse(machine.manifest.root, "apiVersion", "it is not management.loft.sh/v1");
  if (!is_dns_name(machine.name))
    return reader.refuse(machine.manifest.root, "metadata.name",
                         "it is no DNS name: small letters, digits, '-' and '.'");
  const Properties properties(reader);
  INGOT_TRY_ASSIGN(const std::string macs, properties.get(kMacAddresses));
  for (std::size_t at = 0; at < macs.size();) {
    const std::size_t end = std::min(macs.find(',', at), macs.size());
    const std::string mac = normal_mac(trimmed(macs.substr(at, end - at)));
    if (mac.empty())
      return properties.refuse(kMacAddresses,
                               "it is no list of MAC addresses, separated by commas");
    machine.macs.push_back(mac);
    at = end + 1;
  }
  INGOT_TRY_ASSIGN(const std::string uuid, properties.get(kSystemUuid));
  machine.uuid = lower_case(uuid);
  INGOT_TRY_ASSIGN(machine.serial, properties.get(kSerialNumber));
  INGOT_TRY_ASSIGN(machine.server_name, properties.get(kServerName));
  INGOT_TRY_ASSIGN(const std::string reinstall, properties.get(kReinstall));
  if (!reinstall.empty() && reinstall != "always")
    return properties.refuse(kReinstall, "it is not \"always\"");
  machine.always_reinstall = !reinstall.empty();
  return machine;
}

Result<void> add_boot_mac(Machine& machine, const Manifest& manifest) {
  INGOT_TRY_ASSIGN(const BareMetalHost host, read_bare_metal_host(manifest));
  const std::string mac = normal_mac(host.boot_mac_address);
  if (!mac.empty() && std::ranges::count(machine.macs, mac) == 0) machine.macs.push_back(mac);
  return {};
}

// Refuses the second machine with the same identity.
class Owners {
 public:
  Result<void> add(const Machine& machine) {
    for (const auto& mac : machine.macs) INGOT_TRY(add(machine, "MAC address", mac));
    INGOT_TRY(add(machine, "system UUID", machine.uuid));
    return add(machine, "serial number", machine.serial);
  }

 private:
  Result<void> add(const Machine& machine, const std::string& what, const std::string& value) {
    if (value.empty()) return {};
    const auto [owner, added] = owners_.try_emplace({what, value}, &machine);
    if (added || owner->second == &machine) return {};
    return fail(Errc::usage_manifest,
                fmt::format("{}: the machines {} (in {}) and {} both have the {} {}",
                            machine.manifest.file, owner->second->name,
                            owner->second->manifest.file, machine.name, what, printable(value)),
                "each machine is recognised by what it has alone");
  }

  std::map<std::pair<std::string, std::string>, const Machine*> owners_;
};

Result<void> complete(MachineManifests& all, const OnWarning& on_warning) {
  Owners owners;
  for (Machine& machine : all.machines) {
    if (!machine.server_name.empty())
      if (const auto* const host = all.find("BareMetalHost", machine.server_name))
        INGOT_TRY(add_boot_mac(machine, *host));
  }
  for (const Machine& machine : all.machines) {
    INGOT_TRY(owners.add(machine));
    if (machine.macs.empty() && machine.uuid.empty() && machine.serial.empty() && on_warning)
      on_warning(
          fmt::format("{}: the machine {} has no ingot.io/mac-addresses, system-uuid or "
                      "serial-number: only its name can tell who it is",
                      machine.manifest.file, machine.name));
  }
  for (const Manifest& host : all.others)
    if (host.kind == "BareMetalHost" && on_warning &&
        std::ranges::count(all.machines, host.name, &Machine::server_name) == 0)
      on_warning(fmt::format("{}: no machine has {}: {}: the BareMetalHost is nobody's", host.file,
                             kServerName, host.name));
  return {};
}

}  // namespace

const Manifest* MachineManifests::find(std::string_view kind, std::string_view name) const {
  for (const Manifest& manifest : others)
    if (manifest.kind == kind && manifest.name == name) return &manifest;
  return nullptr;
}

Result<MachineManifests> load_machines(const std::string& directory, const OnWarning& on_warning) {
  MachineManifests all;
  std::map<std::pair<std::string, std::string>, std::string> places;
  INGOT_TRY_ASSIGN(const auto files, manifest_files(directory));
  for (const std::string& file : files) {
    INGOT_TRY_ASSIGN(auto manifests, load_manifests(file));
    for (Manifest& manifest : manifests) {
      const bool machine = manifest.kind == "Machine" || manifest.kind == "NodeClaim";
      const auto [place, added] =
          places.try_emplace({machine ? "Machine" : manifest.kind, manifest.name},
                             fmt::format("{}:{}", file, manifest.root.line));
      if (!added)
        return fail(Errc::usage_manifest,
                    fmt::format("{}:{}: metadata.name: {} {} is in {} already", file,
                                manifest.root.line, manifest.kind, manifest.name, place->second),
                    "give each its own name");
      if (!machine) {
        all.others.push_back(std::move(manifest));
        continue;
      }
      INGOT_TRY_ASSIGN(auto read, read_machine(std::move(manifest)));
      all.machines.push_back(std::move(read));
    }
  }
  std::ranges::sort(all.machines, {}, &Machine::name);
  INGOT_TRY(complete(all, on_warning));
  return all;
}

Result<const Machine*> match_machine(const std::vector<Machine>& machines,
                                     const MachineIdentity& identity) {
  const Machine* found = nullptr;
  std::vector<std::string> fits;
  const std::string uuid = lower_case(identity.uuid);
  for (const Machine& machine : machines) {
    std::string by;
    for (const std::string& text : identity.macs)
      if (const std::string mac = normal_mac(text);
          !mac.empty() && std::ranges::count(machine.macs, mac) > 0)
        by = "MAC address " + mac;
    if (!identity.serial.empty() && identity.serial == machine.serial)
      by = "serial number " + machine.serial;
    if (!uuid.empty() && uuid == machine.uuid) by = "system UUID " + uuid;
    if (!identity.name.empty() && identity.name == machine.name) by = "name";
    if (by.empty()) continue;
    found = &machine;
    fits.push_back(fmt::format("{} (by its {})", machine.name, by));
  }
  if (fits.size() > 1)
    return fail(Errc::usage_option,
                fmt::format("who asks could be any of the machines {}", fmt::join(fits, ", ")),
                "correct the manifests: each MAC address, UUID and serial number is one machine's");
  return found;
}

}  // namespace ingot::agent
