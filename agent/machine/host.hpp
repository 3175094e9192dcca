/// What of the host's network the agent needs before it can talk: MACs, and its own address.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// MAC addresses, in lower case, of the interfaces that an inspection reports; no duplicates, none
/// that is all zeros. `sysfs` is /sys.
[[nodiscard]] std::vector<std::string> mac_addresses(const std::string& sysfs = "/sys");

/// The address from which this host reaches the server of `url` ("192.0.2.7", "2001:db8::7").
/// Errors: controller.unreachable (the name does not resolve, no route, only a link-local address),
/// usage.option (a URL without a host).
Result<std::string> address_towards(const std::string& url);

/// The first IPv4 address of a network interface, else the first IPv6 one that is not link-local.
/// Errors: usage.option.
Result<std::string> address_of_interface(const std::string& interface);

/// Whether the kernel's clock is kept by an NTP client (adjtimex(2)). A wrong clock makes
/// certificates invalid on both sides.
[[nodiscard]] bool clock_is_synchronized();

/// "http://192.0.2.7:9999", IPv6 in brackets.
[[nodiscard]] std::string url_of(const std::string& protocol, const std::string& host,
                                 std::uint16_t port);

}  // namespace ingot::agent
