#include "agent/machine/host.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/timex.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "agent/http/url_reference.hpp"
#include "agent/machine/network_interfaces.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

// An address as text, or "" if it is one that nobody else can use.
std::string usable_text(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    const bool link_local = (ntohl(four.sin_addr.s_addr) >> 16) == 0xA9FE;
    if (link_local || four.sin_addr.s_addr == 0) return {};
    return ::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    if (IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr)) return {};
    return ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
  }
  return {};
}

// The source address the kernel takes towards `target`; nothing is sent.
Result<std::string> source_towards(const addrinfo& target) {
  const UniqueFd probe(::socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe || ::connect(probe.get(), target.ai_addr, target.ai_addrlen) != 0)
    return tl::unexpected(system_error(Errc::controller_unreachable, "no route", errno));
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0)
    return tl::unexpected(system_error(Errc::controller_unreachable, "no own address", errno));
  std::string text = usable_text(reinterpret_cast<const sockaddr&>(own));
  if (text.empty())
    return fail(Errc::controller_unreachable, "this host has only a link-local address");
  return text;
}

}  // namespace

std::vector<std::string> mac_addresses(const std::string& sysfs) {
  std::vector<std::string> macs;
  for (const auto& interface : list_network_interfaces(sysfs))
    if (interface.mac_address != "00:00:00:00:00:00") macs.push_back(interface.mac_address);
  std::ranges::sort(macs);
  const auto twice = std::ranges::unique(macs);
  macs.erase(twice.begin(), twice.end());
  return macs;
}

Result<std::string> address_towards(const std::string& url) {
  INGOT_TRY_ASSIGN(const UrlParts parts, url_parts(url));
  const std::string &host = parts.host, &port = parts.port;
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), port.c_str(), &wanted, &list);
  if (code != 0)
    return fail(Errc::controller_unreachable,
                fmt::format("looking up {}: {}", host, ::gai_strerror(code)),
                "check the name servers that DHCP brought, or give the API by its address");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(list, &::freeaddrinfo);
  Error last(Errc::controller_unreachable, "no address");
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    auto source = source_towards(*each);
    if (source) return source;
    last = source.error();
  }
  return tl::unexpected(
      last.with_context(fmt::format("finding this host's address towards {}", host)));
}

Result<std::string> address_of_interface(const std::string& interface) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0)
    return tl::unexpected(system_error(Errc::internal_bug, "listing network addresses", errno));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> found(list, &::freeifaddrs);
  for (const int family : {AF_INET, AF_INET6})
    for (const ifaddrs* each = found.get(); each != nullptr; each = each->ifa_next)
      if (each->ifa_addr != nullptr && each->ifa_name == interface &&
          each->ifa_addr->sa_family == family)
        if (std::string text = usable_text(*each->ifa_addr); !text.empty()) return text;
  return fail(Errc::usage_option,
              fmt::format("network interface {} has no address that others can use", interface),
              "check ipa-network-interface, and that DHCP answers there");
}

bool clock_is_synchronized() {
  timex state{};  // reads only
  return ::adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

std::string url_of(const std::string& protocol, const std::string& host, std::uint16_t port) {
  const bool brackets = host.find(':') != std::string::npos && !host.starts_with('[');
  return fmt::format("{}://{}{}{}:{}", protocol, brackets ? "[" : "", host, brackets ? "]" : "",
                     port);
}

}  // namespace ingot::agent
