#include "agent/machine/bmc.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/ipmi.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kTransport = 0x0C;  // network function
constexpr std::uint8_t kGetLanParameters = 0x02;
constexpr std::uint8_t kLastChannel = 11;
constexpr std::chrono::seconds kAnswerTime{5};
constexpr std::chrono::seconds kWholeTime{20};

// Numbers of parameters.
constexpr std::uint8_t kIpAddress = 3;
constexpr std::uint8_t kMacAddress = 5;
constexpr std::uint8_t kAddressingEnables = 51;
constexpr std::uint8_t kIpv6Status = 55;
constexpr std::uint8_t kIpv6Static = 56;
constexpr std::uint8_t kIpv6Dynamic = 59;
// More are counted by the BMC than this: it is asked for these alone.
constexpr std::uint8_t kMostIpv6 = 16;

class IpmiDevice {
 public:
  IpmiDevice(UniqueFd fd, std::stop_token stop) : fd_(std::move(fd)), stop_(std::move(stop)) {}

  // The data of a parameter; nothing if the channel or the BMC does not have it.
  std::optional<Bytes> parameter(std::uint8_t channel, std::uint8_t number, std::uint8_t set = 0) {
    auto answer = ask({channel, number, set, 0});
    // Completion code and revision come first.
    if (!answer || answer->size() < 2 || answer->front() != 0) return std::nullopt;
    answer->erase(answer->begin(), answer->begin() + 2);
    return answer;
  }

 private:
  std::optional<Bytes> ask(Bytes data) {
    const auto now = Clock::now();
    if (now >= end_ || stop_.stop_requested()) return std::nullopt;
    ipmi_system_interface_addr bmc{};
    bmc.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE;
    bmc.channel = IPMI_BMC_CHANNEL;
    ipmi_req request{};
    request.addr = reinterpret_cast<unsigned char*>(&bmc);
    request.addr_len = sizeof bmc;
    request.msgid = ++last_;
    request.msg.netfn = kTransport;
    request.msg.cmd = kGetLanParameters;
    request.msg.data = data.data();
    request.msg.data_len = static_cast<unsigned short>(data.size());
    if (::ioctl(fd_.get(), IPMICTL_SEND_COMMAND, &request) != 0) return std::nullopt;

    const auto deadline = std::min(now + kAnswerTime, end_);
    while (!stop_.stop_requested() && Clock::now() < deadline) {
      pollfd wait{fd_.get(), POLLIN, 0};
      constexpr int kLook = 100;  // ms, for `stop`
      if (::poll(&wait, 1, kLook) <= 0) continue;
      if (auto answer = receive()) return answer;
    }
    return std::nullopt;
  }

  // The answer to the last request; nothing if there is none, or one to an earlier request.
  std::optional<Bytes> receive() {
    std::array<unsigned char, IPMI_MAX_MSG_LENGTH> data{};
    ipmi_addr from{};
    ipmi_recv got{};
    got.addr = reinterpret_cast<unsigned char*>(&from);
    got.addr_len = sizeof from;
    got.msg.data = data.data();
    got.msg.data_len = data.size();
    if (::ioctl(fd_.get(), IPMICTL_RECEIVE_MSG_TRUNC, &got) != 0 && errno != EMSGSIZE)
      return std::nullopt;
    if (got.recv_type != IPMI_RESPONSE_RECV_TYPE || got.msgid != last_) return std::nullopt;
    const std::size_t size = std::min<std::size_t>(got.msg.data_len, data.size());
    return Bytes(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
  }

  UniqueFd fd_;
  std::stop_token stop_;
  long last_ = 0;
  Clock::time_point end_ = Clock::now() + kWholeTime;
};

UniqueFd open_ipmi(const std::filesystem::path& dev) {
  for (const char* name : {"ipmi0", "ipmi/0", "ipmidev/0"}) {
    UniqueFd fd(::open((dev / name).c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (fd && ::fstat(fd.get(), &status) == 0 && S_ISCHR(status.st_mode)) return fd;
  }
  return {};
}

std::vector<std::string> ipv6_addresses(IpmiDevice& device, std::uint8_t channel) {
  std::vector<std::string> found;
  const auto enables = device.parameter(channel, kAddressingEnables);
  if (!enables || enables->empty() || enables->front() == 0) return found;  // IPv6 is off
  const auto status = device.parameter(channel, kIpv6Status);
  if (!status || status->size() < 2) return found;
  for (const bool is_static : {false, true}) {
    const std::uint8_t most = std::min((*status)[is_static ? 0 : 1], kMostIpv6);
    for (std::uint8_t set = 0; set < most; ++set) {
      const auto data = device.parameter(channel, is_static ? kIpv6Static : kIpv6Dynamic, set);
      if (!data) break;
      if (auto address = lan_ipv6(*data, is_static); !address.empty())
        found.push_back(std::move(address));
    }
  }
  return found;
}

}  // namespace

std::string lan_ipv4(std::span<const std::uint8_t> data) {
  if (data.size() < 4) return {};
  const auto address = data.first(4);
  if (std::all_of(address.begin(), address.end(), [](auto b) { return b == 0; })) return {};
  return fmt::format("{}", fmt::join(address, "."));
}

std::string lan_mac(std::span<const std::uint8_t> data) {
  if (data.size() < 6) return {};
  const auto address = data.first(6);
  const bool none = std::all_of(address.begin(), address.end(), [](auto b) { return b == 0; });
  if (none || (address[0] & 1U) != 0) return {};  // no group address is anybody's own
  return fmt::format("{:02x}", fmt::join(address, ":"));
}

std::string lan_ipv6(std::span<const std::uint8_t> data, bool is_static) {
  // Set selector, source (its highest bit enables a static one), address, prefix length, status.
  constexpr std::size_t kSource = 1, kAddress = 2, kStatus = 19;
  constexpr std::uint8_t kActive = 0;
  if (data.size() <= kStatus || data[kStatus] != kActive) return {};
  if (is_static && (data[kSource] & 0x80U) == 0) return {};
  in6_addr address{};
  std::memcpy(&address, data.data() + kAddress, sizeof address);
  if (IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_LINKLOCAL(&address) ||
      IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_MULTICAST(&address))
    return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET6, &address, text.data(), text.size());
  return text.data();
}

BmcAddresses choose_bmc_addresses(const std::vector<LanChannel>& channels) {
  BmcAddresses chosen;
  for (const auto& channel : channels) {
    if (channel.ipv4.empty() && channel.ipv6.empty()) continue;
    if (chosen.ipv4.empty() && chosen.ipv6.empty()) chosen.mac = channel.mac;
    if (chosen.ipv4.empty()) chosen.ipv4 = channel.ipv4;
    if (chosen.ipv6.empty() && !channel.ipv6.empty()) chosen.ipv6 = channel.ipv6.front();
  }
  if (chosen.ipv4.empty()) chosen.ipv4 = "0.0.0.0";
  if (chosen.ipv6.empty()) chosen.ipv6 = "::/0";
  return chosen;
}

std::optional<BmcAddresses> read_bmc_addresses(const std::filesystem::path& dev,
                                               const std::stop_token& stop) {
  UniqueFd fd = open_ipmi(dev);
  if (!fd) return std::nullopt;
  IpmiDevice device(std::move(fd), stop);
  std::vector<LanChannel> channels;
  for (std::uint8_t channel = 1; channel <= kLastChannel; ++channel) {
    const auto ipv4 = device.parameter(channel, kIpAddress);
    if (!ipv4) continue;  // no LAN channel
    LanChannel one;
    one.ipv4 = lan_ipv4(*ipv4);
    if (const auto mac = device.parameter(channel, kMacAddress)) one.mac = lan_mac(*mac);
    one.ipv6 = ipv6_addresses(device, channel);
    channels.push_back(std::move(one));
  }
  return choose_bmc_addresses(channels);
}

}  // namespace ingot::agent
