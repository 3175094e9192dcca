#include "imaging/name_lookup.hpp"

#include <arpa/nameser.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <system_error>
#include <vector>

#include "disk/core/printable.hpp"
#include "disk/core/unique_fd.hpp"
#include "imaging/network_facts.hpp"

namespace ingot::imaging {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The C library's limits (resolv.conf(5)), and how much of the file is looked at.
constexpr std::size_t kMostServers = 3;
constexpr std::size_t kMostDomains = 6;
constexpr std::size_t kMostLines = 1000;
constexpr std::string_view kStub = "127.0.0.53";
constexpr milliseconds kTick{20};  // between looks at the stop token

struct Resolver {
  bool readable = false;
  std::vector<std::string> servers;
  std::vector<std::string> domains;
};

Resolver read_resolver(const std::string& path) {
  Resolver resolver;
  std::ifstream file(path);
  resolver.readable = file.is_open();
  std::string line;
  for (std::size_t lines = 0; lines < kMostLines && std::getline(file, line); ++lines) {
    std::istringstream words(line);
    std::string key, value;
    words >> key;
    if (key == "nameserver" && resolver.servers.size() < kMostServers && words >> value)
      resolver.servers.push_back(value);
    if (key != "search" && key != "domain") continue;
    resolver.domains.clear();
    while (resolver.domains.size() < kMostDomains && words >> value)
      resolver.domains.push_back(value);
  }
  return resolver;
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 253;  // a name has no more
  return printable(std::as_bytes(std::span(text)), kLongest);
}

using Packet = std::vector<unsigned char>;

// The questions that decide about a name: for it, and for it in every search domain.
std::vector<Packet> questions(const std::string& name, const std::vector<std::string>& domains) {
  std::vector<std::string> names = {name};
  if (!name.ends_with('.'))
    for (const std::string& domain : domains) names.push_back(name + '.' + domain);
  std::vector<Packet> packets;
  for (const std::string& one : names) {
    Packet packet(NS_PACKETSZ);
    const int length = ::res_mkquery(ns_o_query, one.c_str(), ns_c_in, ns_t_a, nullptr, 0, nullptr,
                                     packet.data(), static_cast<int>(packet.size()));
    if (length <= 0) continue;  // too long together
    packet.resize(static_cast<std::size_t>(length));
    packets.push_back(std::move(packet));
  }
  return packets;
}

struct Answer {
  int code = ns_r_noerror;
  bool addresses = false;
};

// One server and what it said.
class Server {
 public:
  Server(const std::string& address, std::size_t questions) : name_(address), answers_(questions) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(address.c_str(), "53", &hints, &found) != 0) {
      problem_ = "is no address";
      return;
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    route_ = route_to(found->ai_addr, found->ai_addrlen);
    socket_ = UniqueFd(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_ || ::connect(socket_.get(), found->ai_addr, found->ai_addrlen) != 0) fails(errno);
  }

  void ask(const std::vector<Packet>& packets) {
    for (const Packet& packet : packets)
      if (!problem_.empty() || ::send(socket_.get(), packet.data(), packet.size(), 0) < 0)
        return fails(errno);
  }

  // Takes the answers that have come.
  void receive(const std::vector<Packet>& packets) {
    std::array<unsigned char, NS_MAXMSG> buffer{};
    for (int most = 64; open() && most > 0; --most) {  // whoever floods us does not hold us up
      const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0 && errno != EAGAIN) fails(errno);
      if (length < 0) return;
      if (length < NS_HFIXEDSZ || (buffer[2] & 0x80U) == 0) continue;  // no answer
      for (std::size_t i = 0; i < packets.size(); ++i)
        if (std::equal(packets[i].begin(), packets[i].begin() + 2, buffer.begin()))
          answers_[i] = Answer{buffer[3] & 0x0F, buffer[6] != 0 || buffer[7] != 0};
    }
  }

  [[nodiscard]] int socket() const { return open() ? socket_.get() : -1; }
  // Whether anything can still come.
  [[nodiscard]] bool open() const {
    return problem_.empty() &&
           std::ranges::any_of(answers_, [](const auto& answer) { return !answer; });
  }
  [[nodiscard]] bool reached() const {
    return std::ranges::any_of(answers_, [](const auto& answer) { return answer.has_value(); });
  }
  [[nodiscard]] bool denies() const {
    return !answers_.empty() && std::ranges::all_of(answers_, [](const auto& answer) {
      return answer && answer->code == ns_r_nxdomain;
    });
  }
  [[nodiscard]] bool knows() const {
    return std::ranges::any_of(
        answers_, [](const auto& answer) { return answer && answer->code == ns_r_noerror; });
  }

  // "10.0.0.1 (asked from 10.0.0.7 on eth0) answers NXDOMAIN"
  [[nodiscard]] std::string in_words() const {
    const std::string name = shown(name_);
    if (route_.error != 0) return name + ": " + imaging::in_words(route_);
    if (route_.source.empty()) return name + ' ' + problem_;
    return fmt::format("{} (asked {}) {}", name, imaging::in_words(route_), says());
  }

 private:
  void fails(int error) {
    if (!problem_.empty()) return;
    problem_ = error == ECONNREFUSED ? "refuses: no name server runs there"
                                     : "fails: " + std::generic_category().message(error);
  }

  [[nodiscard]] std::string says() const {
    if (denies()) return "answers NXDOMAIN";
    for (const auto& answer : answers_)
      if (answer && answer->code == ns_r_noerror)
        return answer->addresses ? "knows it now" : "knows the name, but no IPv4 address of it";
    for (const auto& answer : answers_) {
      if (answer && answer->code == ns_r_servfail) return "answers SERVFAIL";
      if (answer && answer->code == ns_r_refused) return "answers REFUSED";
      if (answer && answer->code != ns_r_nxdomain)
        return fmt::format("answers with error {}", answer->code);
    }
    return problem_.empty() ? "does not answer" : problem_;
  }

  std::string name_;
  Route route_;
  UniqueFd socket_;
  std::string problem_;  // nothing can come any more
  std::vector<std::optional<Answer>> answers_;
};

void wait_for_answers(std::vector<Server>& servers, const std::vector<Packet>& packets,
                      milliseconds patience, const std::stop_token& stop) {
  const auto end = Clock::now() + patience;
  while (!stop.stop_requested() && Clock::now() < end &&
         std::ranges::any_of(servers, &Server::open)) {
    std::vector<pollfd> waiting;
    for (const Server& server : servers) waiting.push_back({server.socket(), POLLIN, 0});
    ::poll(waiting.data(), waiting.size(), static_cast<int>(kTick.count()));
    for (Server& server : servers) server.receive(packets);
  }
}

}  // namespace

LookupFailure explain_lookup(const std::string& name, milliseconds patience, std::stop_token stop,
                             const ResolverFiles& files) {
  const Resolver resolver = read_resolver(files.resolv_conf);
  const std::string shown_name = shown(name);
  if (resolver.servers.empty())
    return {false,
            fmt::format("the name {} was not found: {} {}; {}", shown_name, files.resolv_conf,
                        resolver.readable ? "names no name server" : "cannot be read",
                        network_in_words())};

  const auto packets = questions(name, resolver.domains);
  std::vector<Server> servers;
  for (const std::string& address : resolver.servers) servers.emplace_back(address, packets.size());
  for (Server& server : servers) server.ask(packets);
  wait_for_answers(servers, packets, patience, stop);

  LookupFailure failure;
  // The C library takes a server's no for an answer.
  failure.no_such_name = std::ranges::any_of(servers, &Server::denies) &&
                         std::ranges::none_of(servers, &Server::knows);
  std::vector<std::string> said;
  for (const Server& server : servers) said.push_back(server.in_words());
  failure.reason =
      fmt::format("the name {} {}: {}", shown_name,
                  failure.no_such_name ? "does not exist" : "was not found", fmt::join(said, "; "));
  if (std::ranges::find(resolver.servers, kStub) != resolver.servers.end()) {
    std::vector<std::string> asked;
    for (const std::string& server : read_resolver(files.behind_stub).servers)
      asked.push_back(shown(server));
    failure.reason += asked.empty() ? "; systemd-resolved has no name server to ask"
                                    : fmt::format("; {} is systemd-resolved, which asks {}", kStub,
                                                  fmt::join(asked, ", "));
  }
  if (!failure.no_such_name && std::ranges::none_of(servers, &Server::reached))
    failure.reason += "; " + network_in_words();
  return failure;
}

}  // namespace ingot::imaging
