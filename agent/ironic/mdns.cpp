#include "agent/ironic/mdns.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

#include "agent/machine/host.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/subprocess.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kType = "_openstack._tcp";
constexpr const char* kApi = "baremetal";
constexpr const char* kInspection = "baremetal-introspection";
constexpr const char* kContinue = "/v1/continue";
constexpr std::size_t kMostAddresses = 16, kMostProperties = 64;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// One string of a TXT record, "name=value" (RFC 6763, section 6.4).
std::optional<std::pair<std::string, std::string>> property(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return std::nullopt;
  return std::pair(lower_case(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

// Takes a string in quotes from the front of `rest`, as Avahi writes it: \" and \\, \255 for a
// byte.
std::optional<std::string> take_quoted(std::string_view& rest) {
  const auto begin = rest.find_first_not_of(' ');
  if (begin == std::string_view::npos || rest[begin] != '"') return std::nullopt;
  rest.remove_prefix(begin + 1);
  std::string text;
  while (!rest.empty() && rest.front() != '"') {
    if (rest.front() != '\\') {
      text += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    rest.remove_prefix(1);
    if (rest.size() >= 3 && std::ranges::all_of(rest.substr(0, 3), &is_digit)) {
      const int value = (rest[0] - '0') * 100 + (rest[1] - '0') * 10 + (rest[2] - '0');
      if (value > std::numeric_limits<unsigned char>::max()) return std::nullopt;
      text += static_cast<char>(value);
      rest.remove_prefix(3);
    } else if (!rest.empty()) {
      text += rest.front();
      rest.remove_prefix(1);
    }
  }
  if (rest.empty()) return std::nullopt;
  rest.remove_prefix(1);
  return text;
}

struct Address {
  bool valid = false, v6 = false, local = false;  // local: this machine's or this link's alone
};

Address kind_of(const std::string& text) {
  in_addr four{};
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) {
    const std::uint32_t value = ntohl(four.s_addr);
    return {true, false, value >> 24 == 127 || value >> 24 == 0 || value >> 16 == 0xA9FE};
  }
  in6_addr six{};
  if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return {};
  return {true, true,
          IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
              IN6_IS_ADDR_LINKLOCAL(&six) || IN6_IS_ADDR_MULTICAST(&six)};
}

std::string dotless(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return lower_case(name);
}

bool is_host_name(std::string_view name) {
  constexpr std::size_t kLongest = 253;
  return !name.empty() && name.size() <= kLongest && name.front() != '-' && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '_';
         });
}

// A path of a URL, and nothing that would make it end: no query, no comma (a second URL).
bool is_path(std::string_view path) {
  constexpr std::size_t kLongest = 1024;
  constexpr std::string_view kMarks = "/-._~%!$&'()*+;=:@";
  return path.empty() || (path.size() <= kLongest && path.front() == '/' &&
                          std::ranges::all_of(path, [kMarks](char c) {
                            return is_digit(c) || (c >= 'a' && c <= 'z') ||
                                   (c >= 'A' && c <= 'Z') ||
                                   kMarks.find(c) != std::string_view::npos;
                          }));
}

std::string property_of(const AnnouncedService& service, std::string_view name) {
  const auto found = service.properties.find(name);
  return found == service.properties.end() ? std::string() : found->second;
}

tl::unexpected<Error> refused(std::string_view what) {
  return fail(Errc::controller_refused, fmt::format("what was found by mDNS {}", what),
              "check what announces Ironic in this network, or give its URL with ipa-api-url");
}

// Bytes as D-Bus's JSON has them: an array of numbers.
std::optional<std::string> bytes_of(const json::value& value) {
  if (!value.is_array()) return std::nullopt;
  std::string bytes;
  for (const json::value& each : value.get_array()) {
    if (!each.is_int64() || each.get_int64() < 0 || each.get_int64() > 255) return std::nullopt;
    bytes += static_cast<char>(each.get_int64());
  }
  return bytes;
}

const json::array* array_at(const json::array& array, std::size_t index) {
  return index < array.size() ? array[index].if_array() : nullptr;
}

std::optional<std::int64_t> number_at(const json::array& array, std::size_t index) {
  if (index >= array.size() || !array[index].is_int64()) return std::nullopt;
  return array[index].get_int64();
}

// Of an SRV entry: (priority, weight, port, host, addresses (interface, family, bytes), canonical).
std::optional<AnnouncedService> service_in(const json::array& entry) {
  AnnouncedService service;
  const auto port = number_at(entry, 2);
  const json::array* addresses = array_at(entry, 4);
  if (!port || *port < 1 || *port > std::numeric_limits<std::uint16_t>::max() || entry.size() < 4 ||
      !entry[3].is_string() || addresses == nullptr)
    return std::nullopt;
  service.port = static_cast<std::uint16_t>(*port);
  service.host = std::string_view(entry[3].get_string());
  for (const json::value& each : *addresses) {
    const json::array* parts = each.if_array();
    const auto bytes =
        parts != nullptr && parts->size() == 3 ? bytes_of((*parts)[2]) : std::nullopt;
    if (!bytes || service.addresses.size() == kMostAddresses) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = bytes->size() == sizeof(in_addr)    ? AF_INET
                       : bytes->size() == sizeof(in6_addr) ? AF_INET6
                                                           : AF_UNSPEC;
    if (family != AF_UNSPEC && ::inet_ntop(family, bytes->data(), text.data(), text.size()))
      service.addresses.emplace_back(text.data());
  }
  return service;
}

class Asker {
 public:
  Asker(const MdnsTools& tools, const std::stop_token& stop) : tools_(tools), stop_(stop) {}

  // Three times, 0.1 s and 0.2 s apart. Errors: controller.unreachable, cancelled.
  Result<AnnouncedService> ask(const std::string& name) {
    constexpr int kTries = 3;
    constexpr milliseconds kFirst{100};
    milliseconds wait = kFirst;
    for (int attempt = 1;; ++attempt) {
      INGOT_TRY_ASSIGN(auto found, ask_once(name));
      if (found) return *std::move(found);
      if (attempt == kTries) break;
      if (!pause(stop_, wait)) return fail(Errc::cancelled, "the agent was stopped");
      wait *= 2;
    }
    return fail(Errc::controller_unreachable,
                fmt::format("nobody announces {}.{} by mDNS{}", name, kType, said_),
                "have Ironic announce itself ([conductor]enable_mdns), or give its URL with "
                "ipa-api-url");
  }

  // As above, until somebody answers or `patience` is over.
  Result<AnnouncedService> wait_for(const std::string& name, seconds patience) {
    constexpr milliseconds kFirst{1000}, kLongest{10'000};
    const auto end = Clock::now() + patience;
    milliseconds wait = kFirst;
    for (bool told = false;; told = true) {
      auto found = ask(name);
      if (found || found.error().code() == Errc::cancelled) return found;
      if (Clock::now() + wait >= end) return found;
      if (!told) say(fmt::format("{}; trying again", found.error().message()));
      if (!pause(stop_, wait)) return fail(Errc::cancelled, "the agent was stopped");
      wait = std::min(wait * 2, kLongest);
    }
  }

 private:
  Result<std::optional<AnnouncedService>> ask_once(const std::string& name) {
    said_.clear();
    if (tools_.avahi_browse) {
      INGOT_TRY_ASSIGN(const auto output,
                       output_of({*tools_.avahi_browse, "--resolve", "--parsable", "--terminate",
                                  "--no-db-lookup", kType}));
      if (auto found = read_avahi_answer(output, name)) return found;
    }
    if (tools_.busctl) {
      INGOT_TRY_ASSIGN(
          const auto output,
          output_of({*tools_.busctl, "--system", "--json=short", "call", "org.freedesktop.resolve1",
                     "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager",
                     "ResolveService", "isssit", "0", name, kType, "local", "0", "0"}));
      if (auto found = read_resolved_answer(output)) return found;
    }
    return std::nullopt;
  }

  // "" where the program could not do it, and `said_` why. D-Bus is a socket in the file system, so
  // neither needs a network or a user of its own.
  Result<std::string> output_of(std::vector<std::string> argv) {
    constexpr seconds kPatience{10};
    constexpr std::size_t kMostSaid = 200;
    SubprocessRequest request;
    request.argv = std::move(argv);
    request.timeout = kPatience;
    request.error_code = Errc::controller_unreachable;
    INGOT_TRY_ASSIGN(SubprocessOutcome outcome, run_subprocess(request, stop_));
    if (outcome.ok()) return std::move(outcome.out);
    std::string_view why = std::string_view(outcome.err).substr(0, kMostSaid);
    while (why.ends_with('\n')) why.remove_suffix(1);
    const std::string& program = request.argv.front();
    said_ += fmt::format("; {}: {}", program.substr(program.rfind('/') + 1),
                         why.empty() ? outcome.describe_end() : printable(why));
    return std::string();
  }

  const MdnsTools& tools_;
  const std::stop_token& stop_;
  std::string said_;  // by the programs that failed in the last try
};

bool is_reachable(const std::string& address) {
  constexpr std::uint16_t kAny = 9;
  return address_towards(url_of("http", address, kAny)).has_value();
}

Result<void> find_api(AgentOptions& options, Asker& asker) {
  say(fmt::format("looking for {}.{} by mDNS", kApi, kType));
  INGOT_TRY_ASSIGN(const AnnouncedService service, asker.wait_for(kApi, options.lookup_timeout));
  INGOT_TRY_ASSIGN(const std::string url, announced_url(service, &is_reachable));
  INGOT_TRY_ASSIGN(options.api_urls, parse_api_urls(url));
  say(fmt::format("Ironic's API was found by mDNS: {}", redacted(url)));
  for (const std::string& problem : apply_announced_options(options, service))
    say("warning: " + problem);
  return {};
}

Result<void> find_inspection(AgentOptions& options, Asker& asker) {
  auto service = options.api_urls.empty() ? asker.wait_for(kInspection, options.lookup_timeout)
                                          : asker.ask(kInspection);
  if (!service) return tl::unexpected(service.error());
  INGOT_TRY_ASSIGN(const std::string url, announced_url(*service, &is_reachable));
  INGOT_TRY_ASSIGN(options.inspection_callback_urls, parse_api_urls(url + kContinue));
  say(fmt::format("inspection data goes to {}",
                  redacted(options.inspection_callback_urls.front())));
  return {};
}

}  // namespace

std::optional<AnnouncedService> read_avahi_answer(std::string_view output, std::string_view name) {
  // =;interface;protocol;name;type;domain;host;address;port;TXT
  constexpr std::size_t kFields = 9;
  std::optional<AnnouncedService> service;
  while (!output.empty()) {
    const auto end = std::min(output.find('\n'), output.size());
    std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    if (!line.starts_with("=;")) continue;
    std::array<std::string_view, kFields> fields;
    bool whole = true;
    for (std::string_view& field : fields) {
      const auto stop = line.find(';');
      whole = whole && stop != std::string_view::npos;
      if (!whole) break;
      field = line.substr(0, stop);
      line.remove_prefix(stop + 1);
    }
    if (!whole || lower_case(fields[3]) != lower_case(name) || fields[4] != kType) continue;
    const auto port = port_of(fields[8]);
    if (!port) continue;
    if (!service) {
      service.emplace();
      service->host = fields[6];
      service->port = *port;
      // The record's first string comes last here, and of a name given twice the first counts.
      for (std::size_t count = 0; count < kMostProperties; ++count) {
        const auto text = take_quoted(line);
        if (!text) break;
        if (auto pair = property(*text))
          service->properties.insert_or_assign(std::move(pair->first), std::move(pair->second));
      }
    }
    if (service->host == fields[6] && service->port == *port &&
        service->addresses.size() < kMostAddresses)
      service->addresses.emplace_back(fields[7]);
  }
  return service;
}

std::optional<AnnouncedService> read_resolved_answer(std::string_view output) {
  const auto parsed = parse_json_object(output);
  if (!parsed) return std::nullopt;
  const json::value* data = parsed->if_contains("data");
  const json::array* reply = data != nullptr ? data->if_array() : nullptr;
  const json::array* entries = reply != nullptr ? array_at(*reply, 0) : nullptr;
  if (entries == nullptr) return std::nullopt;
  std::optional<AnnouncedService> service;
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  for (const json::value& each : *entries) {
    const json::array* entry = each.if_array();
    const auto priority = entry != nullptr ? number_at(*entry, 0) : std::nullopt;
    if (!priority || *priority >= best) continue;
    if (auto found = service_in(*entry)) {
      service = std::move(found);
      best = *priority;
    }
  }
  const json::array* texts = array_at(*reply, 1);
  if (!service || texts == nullptr) return service;
  for (std::size_t i = 0; i < std::min(texts->size(), kMostProperties); ++i)
    if (const auto text = bytes_of((*texts)[i]))
      if (auto pair = property(*text)) service->properties.insert(*std::move(pair));
  return service;
}

Result<std::string> announced_url(const AnnouncedService& service, const HasRoute& has_route) {
  constexpr std::uint16_t kHttp = 80;
  std::string protocol = property_of(service, "protocol");
  if (protocol.empty()) protocol = service.port == kHttp ? "http" : "https";
  if (protocol != "http" && protocol != "https") return refused("speaks neither http nor https");
  const std::string path = property_of(service, "path");
  if (!is_path(path)) return refused("has no path that a URL may have");
  if (service.port == 0) return refused("has no port");
  std::string host = dotless(service.host);
  if (host.ends_with(".local")) {
    host.clear();
    for (const bool routed : {true, false})
      for (const std::string& address : service.addresses) {
        const Address kind = kind_of(address);
        if (host.empty() && kind.valid && !kind.local && (!routed || has_route(address)))
          host = address;
      }
    if (host.empty()) return refused("has no address that can be reached from here");
  } else if (!is_host_name(host)) {
    return refused("has no name that a host may have");
  }
  INGOT_TRY_ASSIGN(const auto urls, parse_api_urls(url_of(protocol, host, service.port) + path));
  return urls.front();
}

std::vector<std::string> apply_announced_options(AgentOptions& options,
                                                 const AnnouncedService& service) {
  const std::string value = property_of(service, "ipa_inspection_callback_url");
  if (value.empty()) return {};
  auto urls = parse_api_urls(value);
  // Nothing but what a URL is written with, so that it is one URL, and fit for the log.
  const bool printable =
      std::ranges::all_of(value, [](char c) { return c > ' ' && c < '\x7f' && c != ','; });
  if (!urls || !printable)
    return {"ipa_inspection_callback_url, found by mDNS, is no http or https URL: it is ignored"};
  options.inspection_callback_urls = *std::move(urls);
  options.inspection_by_mdns = false;
  return {};
}

MdnsTools MdnsTools::of_this_machine() {
  return {find_program("avahi-browse"), find_program("busctl")};
}

Result<void> find_by_mdns(AgentOptions& options, const MdnsTools& tools,
                          const std::stop_token& stop) {
  const bool api = options.api_by_mdns && options.api_urls.empty();
  const auto inspection = [&options] {
    return options.inspection_by_mdns && options.inspection_callback_urls.empty();
  };
  if (!api && !inspection()) return {};
  if (!tools.avahi_browse && !tools.busctl)
    return fail(Errc::usage_option,
                "Ironic is to be found by mDNS, but there is neither avahi-browse nor busctl",
                "put Avahi (avahi-daemon, avahi-utils) or systemd-resolved into the RAM disk, or "
                "give Ironic's URL with ipa-api-url");
  Asker asker(tools, stop);
  if (api) INGOT_TRY(find_api(options, asker));
  if (!inspection()) return {};
  auto found = find_inspection(options, asker);
  if (found || options.api_urls.empty() || found.error().code() == Errc::cancelled) return found;
  say(fmt::format("warning: {}: no inspection data is sent there", found.error().message()));
  return {};
}

}  // namespace ingot::agent
