/// What this machine's network looks like when a transfer fails, in words for a message.
///
/// Reads only, sends no packet, and never fails: what cannot be found out is left out. Texts are
/// bounded and printable.
#pragma once

#include <sys/socket.h>

#include <string>

namespace ingot::imaging {

/// The way that the kernel would take to an address.
struct Route {
  int error = 0;          ///< errno when there is none (ENETUNREACH, EHOSTUNREACH)
  std::string source;     ///< the address of this machine that would be used
  std::string interface;  ///< and whose it is; "" if it is not known
};
Route route_to(const sockaddr* address, socklen_t length);

/// "from 10.0.0.7 on eth0", "no route leads there", or what else is in the way.
std::string in_words(const Route& route);

/// "10.0.0.5", "fe80::1%eth0"; with its port "10.0.0.5 port 80".
std::string in_words(const sockaddr* address, socklen_t length, bool with_port);

/// The interfaces that are up with their addresses, and whether there is a default route:
/// "interfaces: eth0 10.0.0.7, eth1 without link; no default route".
std::string network_in_words();

}  // namespace ingot::imaging
