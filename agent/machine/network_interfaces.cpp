#include "agent/machine/network_interfaces.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/machine/kernel_text.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEthernetAddress = 6;
constexpr std::size_t kInfinibandAddress = 20;

bool is_vlan(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < name.size() &&
         name.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
}

bool is_reported(const fs::path& folder, const std::string& name) {
  std::error_code error;
  return name != "lo" && (fs::exists(folder / "device", error) ||
                          fs::exists(folder / "bonding", error) || is_vlan(name));
}

std::string mac_text(std::span<const unsigned char> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

// What is burnt in: a bond gives all its members the same current address. "" if not told.
std::string permanent_address(int socket, const std::string& name) {
  constexpr std::size_t kMost = 32;
  alignas(ethtool_perm_addr) std::array<unsigned char, sizeof(ethtool_perm_addr) + kMost> answer{};
  ethtool_perm_addr head{};
  head.cmd = ETHTOOL_GPERMADDR;
  head.size = kMost;
  std::memcpy(answer.data(), &head, sizeof head);
  ifreq request{};
  if (name.size() >= sizeof request.ifr_name) return {};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_data = reinterpret_cast<char*>(answer.data());
  if (::ioctl(socket, SIOCETHTOOL, &request) != 0) return {};
  std::memcpy(&head, answer.data(), sizeof head);
  if (head.size != kEthernetAddress) return {};
  // Drivers without one, and VLANs, answer with zeros; no NIC has a group address.
  const auto bytes = std::span(answer).subspan(sizeof head, kEthernetAddress);
  const bool none = std::all_of(bytes.begin(), bytes.end(), [](auto b) { return b == 0; });
  return none || (bytes[0] & 1U) != 0 ? std::string() : mac_text(bytes);
}

// The MAC and client id of a port with `address` as sysfs shows it (RFC 4390; the MAC is the GUID
// without its middle, as Ironic has it).
void set_infiniband(NetworkInterface& nic, const std::string& address) {
  const std::string guid = address.substr(12 * 3);  // its last eight bytes
  nic.mac_address = guid.substr(0, 9) + guid.substr(15);
  nic.client_id = "ff:00:00:00:00:00:02:00:00:02:c9:00:" + guid;
}

struct FreeAddresses {
  void operator()(ifaddrs* list) const noexcept { ::freeifaddrs(list); }
};

void set_addresses(std::vector<NetworkInterface>& nics) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  const std::unique_ptr<ifaddrs, FreeAddresses> owner(list);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const auto nic = std::find_if(nics.begin(), nics.end(),
                                  [entry](const auto& n) { return n.name == entry->ifa_name; });
    if (nic == nics.end()) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (entry->ifa_addr->sa_family == AF_INET && nic->ipv4_address.empty()) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      ::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
      nic->ipv4_address = text.data();
    } else if (entry->ifa_addr->sa_family == AF_INET6 && nic->ipv6_address.empty()) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr)) continue;
      ::inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
      nic->ipv6_address = text.data();
    }
  }
}

}  // namespace

std::vector<NetworkInterface> list_network_interfaces(const fs::path& sysfs) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::vector<std::pair<std::uint64_t, NetworkInterface>> found;
  for (const auto& name : names_in(sysfs / "class/net")) {
    const fs::path folder = sysfs / "class/net" / name;
    if (!is_reported(folder, name) || clean_text(name) != name) continue;
    NetworkInterface nic;
    nic.name = name;
    const std::string address = lower_case(read_text(folder / "address"));
    if (address.size() == kInfinibandAddress * 3 - 1) {
      set_infiniband(nic, address);
    } else if (address.size() == kEthernetAddress * 3 - 1) {
      nic.mac_address = permanent_address(socket.get(), name);
      if (nic.mac_address.empty()) nic.mac_address = address;
    } else {
      continue;
    }
    nic.has_carrier = read_number(folder / "carrier") == 1U;  // cannot be read while it is down
    nic.vendor = read_text(folder / "device/vendor");
    nic.product = read_text(folder / "device/device");
    nic.pci_address = link_name(folder / "device");
    nic.driver = link_name(folder / "device/driver");
    nic.speed_mbps = read_number(folder / "speed");  // -1 where it is not known
    if (nic.speed_mbps > 0xFFFFFFFEU || nic.speed_mbps == 0U) nic.speed_mbps.reset();
    found.emplace_back(read_number(folder / "ifindex").value_or(UINT64_MAX), std::move(nic));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<NetworkInterface> nics;
  for (auto& [index, nic] : found) nics.push_back(std::move(nic));
  set_addresses(nics);
  return nics;
}

}  // namespace ingot::agent
