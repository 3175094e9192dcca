#include "agent/ironic/node_inventory.hpp"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/machine/kernel_text.hpp"

namespace ingot::agent {

std::string kernel_parameter(const std::filesystem::path& proc, std::string_view name) {
  const std::string line = read_bytes(proc / "cmdline", 65536);
  std::string value;
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  for (std::size_t at = 0; (at = line.find_first_not_of(kBlanks, at)) != std::string::npos;) {
    const auto end = std::min(line.find_first_of(kBlanks, at), line.size());
    const std::string_view word = std::string_view(line).substr(at, end - at);
    at = end;
    if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=')
      value = clean_text(word.substr(name.size() + 1));
  }
  return value;
}

Result<NodeInventory> collect_node_inventory(const NodeInventoryOptions& options,
                                             const std::stop_token& stop) {
  NodeInventory node;
  const auto dmi = read_dmi(options.sysfs);
  node.interfaces = list_network_interfaces(options.sysfs);
  if (node.interfaces.empty()) node.notes.emplace_back("no network interface was found");
  node.cpu = read_cpu(options.proc, options.sysfs, dmi);
  node.memory = read_memory(options.proc, options.sysfs, dmi);
  node.system_vendor = read_system_vendor(options.sysfs);
  std::error_code error;
  node.boot_mode = std::filesystem::exists(options.sysfs / "firmware/efi", error) ? "uefi" : "bios";
  node.boot_interface = options.boot_interface ? clean_text(*options.boot_interface)
                                               : kernel_parameter(options.proc, "BOOTIF");
  node.hostname = read_text(options.proc / "sys/kernel/hostname");

  // Without hints the choice is Ironic's default: the smallest disk of at least 4 GiB.
  if (auto disks = look_at_devices(options.devices, "{}")) {
    node.disks = *std::move(disks);
    if (node.disks.choice && node.disks.choice->no_match)
      node.notes.push_back("no root disk: " + node.disks.choice->no_match->message());
  } else {
    node.notes.push_back("no disks: " + disks.error().message());
  }
  node.bmc = read_bmc_addresses(options.dev, stop);
  if (stop.stop_requested()) return fail(Errc::cancelled, "collecting the inventory: cancelled");
  return node;
}

}  // namespace ingot::agent
