/// NodeInventory: the hardware of this node, for Ironic's inspection.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/job/device_report.hpp"
#include "agent/machine/bmc.hpp"
#include "agent/machine/cpu_memory.hpp"
#include "agent/machine/dmi.hpp"
#include "agent/machine/network_interfaces.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Where the facts come from. The defaults are this machine.
struct NodeInventoryOptions {
  std::vector<std::string> devices{};    ///< paths of block devices: these alone; empty: every disk
  std::filesystem::path sysfs = "/sys";  ///< of all but disks
  std::filesystem::path proc = "/proc";
  std::filesystem::path dev = "/dev";  ///< for the BMC
  /// BOOTIF where it did not come by the kernel's command line (virtual media).
  std::optional<std::string> boot_interface{};
};

struct NodeInventory {
  std::vector<NetworkInterface> interfaces;
  Cpu cpu;
  Memory memory;
  DeviceReport disks;  ///< with the choice that no hints make: the root disk
  std::optional<BmcAddresses> bmc;
  SystemVendor system_vendor;
  std::string boot_mode;       ///< "uefi" or "bios"
  std::string boot_interface;  ///< BOOTIF as it was given; "": not given
  std::string hostname;
  std::vector<std::string> notes;  ///< what could not be found out, for the log
};

/// Collects all of it. What cannot be found out is missing, with a note: inspection is to succeed
/// where it can. Takes up to 30 s (disks that do not answer, a slow BMC).
/// Errors: cancelled.
Result<NodeInventory> collect_node_inventory(const NodeInventoryOptions& options,
                                             const std::stop_token& stop);

/// The value of a parameter on the kernel's command line `proc`/cmdline: of several the last.
[[nodiscard]] std::string kernel_parameter(const std::filesystem::path& proc,
                                           std::string_view name);

}  // namespace ingot::agent
