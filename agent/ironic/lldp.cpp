#include "agent/ironic/lldp.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kLldp = 0x88CC;  // EtherType
constexpr std::size_t kEthernetHeader = 14;
constexpr std::size_t kMostTlvs = 256;
constexpr std::size_t kLargestFrame = 9216 + kEthernetHeader;

// The groups that switches send to (802.1AB, table 7-1): nearest bridge, nearest non-TPMR bridge,
// nearest customer bridge.
constexpr std::array<std::uint8_t, 3> kGroups{0x0E, 0x03, 0x00};

unsigned byte_at(std::span<const std::byte> data, std::size_t at) {
  return std::to_integer<unsigned>(data[at]);
}

bool starts_as_it_must(const std::vector<LldpTlv>& tlvs) {
  const auto is = [&tlvs](std::size_t at, unsigned type, std::size_t least, std::size_t most) {
    return tlvs[at].type == type && tlvs[at].value.size() >= least && tlvs[at].value.size() <= most;
  };
  return tlvs.size() >= 3 && is(0, 1, 2, 256) && is(1, 2, 2, 256) && is(2, 3, 2, 511) &&
         (tlvs[2].value[0] != 0 || tlvs[2].value[1] != 0);
}

struct Listener {
  std::string interface;
  UniqueFd socket;
};

// Receives only frames of that interface which are LLDP. An invalid descriptor, with errno, if
// there is no such interface.
UniqueFd open_listener(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return {};
  // Protocol 0: nothing is received until it is bound to its interface.
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {};
  for (const std::uint8_t group : kGroups) {
    packet_mreq wanted{};
    wanted.mr_ifindex = static_cast<int>(index);
    wanted.mr_type = PACKET_MR_MULTICAST;
    wanted.mr_alen = ETH_ALEN;
    const std::array<std::uint8_t, ETH_ALEN> address{0x01, 0x80, 0xC2, 0x00, 0x00, group};
    std::memcpy(wanted.mr_address, address.data(), address.size());
    // Where the driver has no filter for groups all of them are received anyhow.
    (void)::setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted);
  }
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(kLldp);
  local.sll_ifindex = static_cast<int>(index);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) return {};
  return fd;
}

// The next message that is one; nothing if none has come. Bounded: a flood of others does not hold
// it up.
std::optional<std::vector<LldpTlv>> receive(int socket) {
  std::array<std::byte, kLargestFrame> frame;
  for (int round = 0; round < 64; ++round) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(socket, frame.data(), frame.size(), MSG_TRUNC,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (static_cast<std::size_t>(got) > frame.size() || from.sll_pkttype == PACKET_OUTGOING)
      continue;
    if (auto tlvs = parse_lldp_frame(std::span(frame).first(static_cast<std::size_t>(got))))
      return tlvs;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<LldpTlv>> parse_lldp_frame(std::span<const std::byte> frame) {
  if (frame.size() < kEthernetHeader || (byte_at(frame, 12) << 8 | byte_at(frame, 13)) != kLldp)
    return std::nullopt;
  std::vector<LldpTlv> tlvs;
  for (auto rest = frame.subspan(kEthernetHeader); !rest.empty();) {
    if (rest.size() < 2) return std::nullopt;
    const unsigned head = byte_at(rest, 0) << 8 | byte_at(rest, 1);
    const unsigned type = head >> 9;
    const std::size_t length = head & 0x1FFU;
    if (length > rest.size() - 2) return std::nullopt;
    if (type == 0) break;  // the end; padding may follow
    if (tlvs.size() == kMostTlvs) return std::nullopt;
    const auto value = rest.subspan(2, length);
    tlvs.push_back({type, std::string(reinterpret_cast<const char*>(value.data()), value.size())});
    rest = rest.subspan(2 + length);
  }
  return starts_as_it_must(tlvs) ? std::optional(std::move(tlvs)) : std::nullopt;
}

Result<LldpNeighbors> listen_for_lldp(const std::vector<std::string>& interfaces,
                                      std::chrono::milliseconds timeout,
                                      const std::stop_token& stop) {
  const auto end = Clock::now() + timeout;
  LldpNeighbors neighbors;
  std::vector<Listener> listeners;
  for (const auto& interface : interfaces) {
    UniqueFd fd = open_listener(interface);
    const int error = errno;
    if (fd)
      listeners.push_back({interface, std::move(fd)});
    else if (error == EPERM || error == EAFNOSUPPORT)
      return tl::unexpected(
          system_error(Errc::internal_bug, "listening for LLDP: packet socket", error));
  }
  while (!listeners.empty() && !stop.stop_requested() && Clock::now() < end) {
    std::vector<pollfd> wait;
    for (const auto& listener : listeners) wait.push_back({listener.socket.get(), POLLIN, 0});
    constexpr int kLook = 100;  // ms, for `stop`
    if (::poll(wait.data(), wait.size(), kLook) <= 0) continue;
    for (std::size_t i = wait.size(); i-- > 0;) {
      if (wait[i].revents == 0) continue;
      auto message = receive(listeners[i].socket.get());
      const bool gone = !message && (wait[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 &&
                        ::if_nametoindex(listeners[i].interface.c_str()) == 0;
      if (message) neighbors.emplace(listeners[i].interface, *std::move(message));
      if (message || gone) listeners.erase(listeners.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return neighbors;
}

}  // namespace ingot::agent
