/// The addresses of this node's BMC, which it tells through IPMI.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace ingot::agent {

/// What inspection reports: by the addresses Ironic finds the node, so they are never guessed.
struct BmcAddresses {
  std::string ipv4;  ///< "0.0.0.0": no channel has one
  std::string ipv6;  ///< "::/0": no channel has one
  std::string mac;   ///< of the same channel; "" if it does not tell

  bool operator==(const BmcAddresses&) const = default;
};

/// One of the BMC's LAN channels; "" for what it does not have.
struct LanChannel {
  std::string ipv4, mac;
  std::vector<std::string> ipv6;  ///< those in use, dynamic ones first
};

// The data of answers to Get LAN Configuration Parameters (IPMI 2.0, 23.2 and table 23-4), without
// completion code and revision. "" for malformed data, and an address that is none.
/// Parameter 3.
[[nodiscard]] std::string lan_ipv4(std::span<const std::uint8_t> data);
/// Parameter 5.
[[nodiscard]] std::string lan_mac(std::span<const std::uint8_t> data);
/// Parameters 56 (static) and 59 (dynamic): an address in use that can be routed.
[[nodiscard]] std::string lan_ipv6(std::span<const std::uint8_t> data, bool is_static);

/// The first IPv4 and the first IPv6 address of the channels, and the MAC of the channel that has
/// the first of them.
[[nodiscard]] BmcAddresses choose_bmc_addresses(const std::vector<LanChannel>& channels);

/// Asks channels 1 to 11 through the kernel's IPMI device in `dev`. Nothing without such a device.
/// Waits at most 5 s for an answer, and not much more than 20 s in all.
[[nodiscard]] std::optional<BmcAddresses> read_bmc_addresses(const std::filesystem::path& dev,
                                                             const std::stop_token& stop);

}  // namespace ingot::agent
