/// NetworkInterface: the NICs of this node, as Ironic wants to know them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ingot::agent {

/// One NIC. A text that is not known is "".
struct NetworkInterface {
  std::string name;         ///< "eno1"
  std::string mac_address;  ///< lower case with colons; the permanent one where the driver tells it
  std::string ipv4_address;  ///< the first
  std::string ipv6_address;  ///< the first that is not link-local
  bool has_carrier = false;
  std::string vendor, product;  ///< PCI ids, "0x8086"
  std::string pci_address;      ///< name of the device below: "0000:3b:00.0", "virtio2"
  std::string driver;
  std::string client_id;                      ///< DHCP's, of an InfiniBand port
  std::optional<std::uint64_t> speed_mbps{};  ///< of the link, in Mbit/s
};

/// Every interface with hardware below it, bonds, and VLANs ("eno1.100"); no loopback, bridges,
/// tunnels, and none without a MAC. In the kernel's order. Also what is down is listed: of ports
/// that Ironic knows it deletes those that are not.
///
/// `sysfs` is /sys; permanent MACs and IP addresses are those of the running system. An InfiniBand
/// port has the MAC that Ironic makes of its GUID.
[[nodiscard]] std::vector<NetworkInterface> list_network_interfaces(
    const std::filesystem::path& sysfs = "/sys");

}  // namespace ingot::agent
