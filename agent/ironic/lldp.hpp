/// LLDP (IEEE 802.1AB): what the switch at the other end of a cable says of itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// One element of a message: type 0 to 127, value of at most 511 bytes.
struct LldpTlv {
  unsigned type = 0;
  std::string value;

  bool operator==(const LldpTlv&) const = default;
};

/// By interface, what came in over it first.
using LldpNeighbors = std::map<std::string, std::vector<LldpTlv>>;

/// The elements of an Ethernet frame, without the one that ends them. Frames come from anybody:
/// nothing if it is no LLDP frame, an element goes beyond the end, the three that every message
/// starts with (chassis, port, time to live) are not there, there are more than 256, or the
/// neighbor says that it is going (time to live 0).
[[nodiscard]] std::optional<std::vector<LldpTlv>> parse_lldp_frame(
    std::span<const std::byte> frame);

/// Listens on `interfaces` until each has received a message, `timeout` is over (switches send
/// every 30 s), or `stop` is requested. An interface that cannot be listened on is passed over.
/// Errors: internal.bug when there can be no packet sockets at all (no root, no AF_PACKET).
Result<LldpNeighbors> listen_for_lldp(const std::vector<std::string>& interfaces,
                                      std::chrono::milliseconds timeout,
                                      const std::stop_token& stop);

}  // namespace ingot::agent
