/// mDNS: the URL of Ironic's API from the local network (ipa-api-url=mdns), as Ironic announces it.
/// The question is put to the responder that the machine has: Avahi, or systemd-resolved.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ironic/parameters.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// One service as the network describes it. Anybody there can: nothing of it is checked yet.
struct AnnouncedService {
  std::string host;  ///< "conductor.local"
  std::uint16_t port = 0;
  std::vector<std::string> addresses;
  std::map<std::string, std::string, std::less<>> properties;  ///< TXT record; names in lower case
};

/// What `avahi-browse --resolve --parsable` says of the service called `name` ("baremetal"), or
/// nothing. Addresses come on a line each; of two hosts with the same service the first counts.
[[nodiscard]] std::optional<AnnouncedService> read_avahi_answer(std::string_view output,
                                                                std::string_view name);

/// The same out of `busctl --json=short call … ResolveService`, as systemd-resolved answers
/// (org.freedesktop.resolve1(5)).
[[nodiscard]] std::optional<AnnouncedService> read_resolved_answer(std::string_view output);

/// Whether this host has a route to an address.
using HasRoute = std::function<bool(const std::string& address)>;

/// The service's URL. The host is its name, or, where that ends in .local, the first address with a
/// route, or else the first that is neither loopback nor link-local. The protocol is the
/// property's, else http for port 80, else https. Errors: controller.refused (no host, port, path
/// or protocol that a URL may have).
Result<std::string> announced_url(const AnnouncedService& service, const HasRoute& has_route);

/// Applies the property `ipa_inspection_callback_url`; no other option can be set from the network
/// (`ipa_ntp_server`, which may be announced as well, is for who sets the clock, and that is not
/// the agent). Returns what is wrong with it, as the other ways to set options do.
std::vector<std::string> apply_announced_options(AgentOptions& options,
                                                 const AnnouncedService& service);

/// The programs that ask; tests have their own.
struct MdnsTools {
  std::optional<std::string> avahi_browse, busctl;  ///< absolute paths
  static MdnsTools of_this_machine();
};

/// Asks for what `options` want by mDNS and have no URL of: the API (baremetal._openstack._tcp) and
/// the address for inspection data (baremetal-introspection._openstack._tcp, with /v1/continue).
/// Three times, 0.1 s and 0.2 s apart; from the start again until `lookup_timeout` is over, since
/// the network may not be there yet. Inspection alone is not waited for where there is an API.
/// Errors: controller.unreachable (nobody answers), usage.option (no program to ask), cancelled.
/// Sources: RFC 6763; ironic-lib's mdns.py.
Result<void> find_by_mdns(AgentOptions& options, const MdnsTools& tools,
                          const std::stop_token& stop);

}  // namespace ingot::agent
