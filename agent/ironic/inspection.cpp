#include "agent/ironic/inspection.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "agent/ironic/inspection_body.hpp"
#include "agent/ironic/node_commands.hpp"
#include "agent/machine/network_interfaces.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> callback_urls(const AgentOptions& options) {
  if (!options.inspection_callback_urls.empty()) return options.inspection_callback_urls;
  std::vector<std::string> urls;
  for (const std::string& api : options.api_urls) urls.push_back(api + "/v1/continue_inspection");
  return urls;
}

// BOOTIF's MAC: "01-52-54-…" of pxelinux, or with colons.
std::string mac_of(std::string boot_interface) {
  constexpr std::size_t kMac = 17;
  if (boot_interface.size() == kMac + 3) boot_interface.erase(0, 3);
  std::ranges::replace(boot_interface, '-', ':');
  return lower_case(boot_interface);
}

// Addresses that come later would be missing from the inventory.
void wait_for_addresses(const AgentOptions& options, const std::stop_token& stop) {
  constexpr std::chrono::seconds kLook{1};
  const std::string boot_mac = mac_of(options.boot_interface);
  const auto end = Clock::now() + options.dhcp_wait;
  for (bool told = false; Clock::now() < end; told = true) {
    std::vector<std::string> without;
    bool any = false;
    for (const auto& interface : list_network_interfaces("/sys")) {
      const bool addressed = !interface.ipv4_address.empty() || !interface.ipv6_address.empty();
      any = any || addressed;
      const bool matters =
          options.dhcp_wait_all || (!boot_mac.empty() && interface.mac_address == boot_mac);
      if (matters && !addressed) without.push_back(interface.name);
    }
    // With no interface that matters more than others, one address is what it takes.
    if (without.empty() && (any || !boot_mac.empty() || options.dhcp_wait_all)) return;
    if (!told)
      say(fmt::format(
          "waiting for addresses of {}",
          without.empty() ? "an interface" : fmt::format("{}", fmt::join(without, ", "))));
    if (!pause(stop, kLook)) return;
  }
}

}  // namespace

bool wants_inspection(const AgentOptions& options) {
  return !options.inspection_callback_urls.empty() ||
         (!options.inspection_collectors.empty() && !options.api_urls.empty());
}

Result<std::string> inspect(const AgentOptions& options, IronicClient& client,
                            const NodeState& node, const std::stop_token& stop,
                            const InspectionTimes& times) {
  say("inspecting this machine");
  wait_for_addresses(options, stop);
  auto collectors = options.inspection_collectors;
  if (collectors.empty()) collectors = {"default", "logs"};
  INGOT_TRY_ASSIGN(const auto body,
                   inspection_body(collectors, inspection_options(options, node), stop));
  for (const std::string& note : body.notes) say("inspection: " + note);
  auto wait = times.retry_first;
  for (int attempt = 1;; ++attempt) {
    auto sent = client.continue_inspection(callback_urls(options), body.json, stop);
    if (sent) {
      say("inspection: Ironic took it");
      return sent;
    }
    constexpr long kConflict = 409, kServer = 500;
    const long status = client.last_status();
    const bool again = status == 0 || status == kConflict || status >= kServer;
    if (!again || attempt == times.attempts || stop.stop_requested()) return sent;
    say(fmt::format("inspection: {}; trying again", sent.error().message()));
    if (!pause(stop, wait)) return sent;
    wait = std::min(wait * 2, times.retry_most);
  }
}

}  // namespace ingot::agent
