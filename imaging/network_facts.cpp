#include "imaging/network_facts.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "disk/core/printable.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kMostInterfaces = 6;
constexpr std::size_t kMostAddresses = 3;  // of an interface
constexpr std::size_t kLongestName = 64;

struct FreeAddresses {
  void operator()(ifaddrs* all) const noexcept { ::freeifaddrs(all); }
};
using Addresses = std::unique_ptr<ifaddrs, FreeAddresses>;

Addresses all_addresses() {
  ifaddrs* all = nullptr;
  return Addresses(::getifaddrs(&all) == 0 ? all : nullptr);
}

std::string shown(std::string_view name) {
  return printable(std::as_bytes(std::span(name)), kLongestName);
}

socklen_t length_of(const sockaddr* address) {
  return address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

bool is_internet(const sockaddr* address) {
  return address != nullptr && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

// Every IPv6 interface has one of these, whether or not anything answers there.
bool is_link_local(const sockaddr* address) {
  if (address->sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

// Addresses for documentation, which only a default route leads to.
bool has_default_route() {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(9);
  ::inet_pton(AF_INET, "198.51.100.1", &four.sin_addr);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(9);
  ::inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
  return route_to(reinterpret_cast<const sockaddr*>(&four), sizeof(four)).error == 0 ||
         route_to(reinterpret_cast<const sockaddr*>(&six), sizeof(six)).error == 0;
}

}  // namespace

Route route_to(const sockaddr* address, socklen_t length) {
  Route route;
  const UniqueFd socket(::socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage own{};
  socklen_t own_length = sizeof(own);
  auto* const source = reinterpret_cast<sockaddr*>(&own);
  if (!socket || ::connect(socket.get(), address, length) != 0 ||
      ::getsockname(socket.get(), source, &own_length) != 0) {
    route.error = errno;
    return route;
  }
  route.source = in_words(source, own_length, false);
  const Addresses all = all_addresses();
  for (const ifaddrs* one = all.get(); one != nullptr; one = one->ifa_next)
    if (is_internet(one->ifa_addr) &&
        in_words(one->ifa_addr, length_of(one->ifa_addr), false) == route.source)
      route.interface = shown(one->ifa_name);
  return route;
}

std::string in_words(const Route& route) {
  if (route.error == ENETUNREACH || route.error == EHOSTUNREACH) return "no route leads there";
  if (route.error != 0) return std::generic_category().message(route.error);
  return "from " + route.source + (route.interface.empty() ? "" : " on " + route.interface);
}

std::string in_words(const sockaddr* address, socklen_t length, bool with_port) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(address, length, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an unknown address";
  return with_port ? fmt::format("{} port {}", shown(host.data()), port.data())
                   : shown(host.data());
}

std::string network_in_words() {
  struct Interface {
    std::string name;
    bool link = false;
    std::vector<std::string> addresses;
  };
  std::vector<Interface> interfaces;
  const Addresses all = all_addresses();
  for (const ifaddrs* one = all.get(); one != nullptr; one = one->ifa_next) {
    if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const std::string name = shown(one->ifa_name);
    auto known = std::ranges::find(interfaces, name, &Interface::name);
    if (known == interfaces.end()) {
      if (interfaces.size() == kMostInterfaces) continue;
      known = interfaces.insert(known, {name, (one->ifa_flags & IFF_RUNNING) != 0, {}});
    }
    if (is_internet(one->ifa_addr) && !is_link_local(one->ifa_addr) &&
        known->addresses.size() < kMostAddresses)
      known->addresses.push_back(in_words(one->ifa_addr, length_of(one->ifa_addr), false));
  }
  std::ranges::sort(interfaces, {}, &Interface::name);
  std::string text;
  for (const Interface& one : interfaces) {
    text += (text.empty() ? "interfaces: " : ", ") + one.name;
    for (const std::string& address : one.addresses) text += " " + address;
    if (one.addresses.empty()) text += " without address";
    if (!one.link) text += " without link";
  }
  if (text.empty()) text = "no interface is up";
  return has_default_route() ? text : text + "; no default route";
}

}  // namespace ingot::imaging
