#include "agent/controller/controller.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "agent/controller/rest_api.hpp"
#include "agent/process/service_manager.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

constexpr std::chrono::seconds kLookForTokens{1};

std::string state_file(const ControllerOptions& options) {
  if (!options.state.empty()) return options.state;
  // Set by systemd for units with StateDirectory=.
  const char* const directory = std::getenv("STATE_DIRECTORY");
  return directory != nullptr && *directory != '\0' ? std::string(directory) + "/controller.db"
                                                    : std::string("controller.db");
}

bool is_loopback(const std::string& address) {
  in6_addr six{};
  in_addr four{};
  if (::inet_pton(AF_INET, address.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  return ::inet_pton(AF_INET6, address.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

Result<std::string> read_pem(const std::string& path, std::string_view option) {
  constexpr std::size_t kLargest = 1UL << 20;
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || text.empty() || text.size() > kLargest)
    return fail(Errc::usage_option,
                fmt::format("{}: {}: it cannot be read, or is empty", option, path),
                "name a readable file in PEM form");
  return text;
}

// How many connections there can be beside the files that manifests and the state need: who opens
// too many must not keep them from being read. Asks the system for as many as are wanted.
std::size_t room_for(std::size_t connections) {
  constexpr rlim_t kOthers = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const rlim_t wanted = connections + kOthers;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(limit.rlim_max, wanted);
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) return connections;
  return limit.rlim_cur > 2 * kOthers ? limit.rlim_cur - kOthers : limit.rlim_cur / 2;
}

Result<HttpServerOptions> server_options(const ControllerOptions& options) {
  HttpServerOptions server{.addresses = {options.listen_address}, .port = options.listen_port};
  // A machine keeps its connection while it reports, and a page one for its stream.
  server.max_connections = room_for(1024);
  server.max_queued = 512;
  server.max_requests_per_connection = 100'000;
  server.body_limit = 256UL << 10;  // a result with what `ingot erase` found is the largest
  server.body_timeout = std::chrono::seconds(20);
  if (!options.tls_certificate_file.empty()) {
    INGOT_TRY_ASSIGN(server.tls.certificate, read_pem(options.tls_certificate_file, "--tls-cert"));
    INGOT_TRY_ASSIGN(server.tls.private_key, read_pem(options.tls_key_file, "--tls-key"));
  }
  return server;
}

// What tells that a file of tokens was written anew.
class TokenFiles {
 public:
  explicit TokenFiles(const ControllerOptions& options) : options_(options) {}

  Result<std::shared_ptr<const Tokens>> load() {
    seen_ = look();
    INGOT_TRY_ASSIGN(auto tokens,
                     Tokens::load(options_.machine_tokens_file, options_.page_token_file));
    return std::make_shared<const Tokens>(std::move(tokens));
  }
  [[nodiscard]] bool changed() const { return look() != seen_; }

 private:
  [[nodiscard]] std::vector<std::int64_t> look() const {
    std::vector<std::int64_t> now;
    for (const std::string& path : {options_.machine_tokens_file, options_.page_token_file}) {
      struct stat status {};
      // A FIFO can be read only once.
      if (path.empty() || ::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      for (const std::int64_t value :
           {static_cast<std::int64_t>(status.st_ino), static_cast<std::int64_t>(status.st_size),
            static_cast<std::int64_t>(status.st_mode),
            static_cast<std::int64_t>(status.st_mtim.tv_sec),
            static_cast<std::int64_t>(status.st_mtim.tv_nsec)})
        now.push_back(value);
    }
    return now;
  }

  const ControllerOptions& options_;
  std::vector<std::int64_t> seen_;
};

void warn_of_open_doors(const ControllerOptions& options, const Tokens& tokens) {
  if (is_loopback(options.listen_address)) return;
  if (!tokens.asks_machines())
    say("warning: without --machine-tokens everybody who reaches this address is given the "
        "machines' user data and may report for them");
  if (!tokens.asks_page())
    say("warning: without --page-token-file everybody who reaches this address sees the machines "
        "and may have them installed again");
  if (options.tls_certificate_file.empty() && (tokens.asks_machines() || tokens.asks_page()))
    say("warning: without --tls-cert and --tls-key tokens and user data can be read on the way");
}

// "Serving 200 machines, 3 of them being installed".
std::string describe(const Fleet& fleet) {
  const auto machines = fleet.all();
  const auto running = std::ranges::count_if(machines, [](const MachineState& machine) {
    return machine.last && machine.last->status == "running";
  });
  return fmt::format("Serving {} machine{}, {} being installed", machines.size(),
                     machines.size() == 1 ? "" : "s", running);
}

}  // namespace

Result<void> run_controller(const ControllerOptions& options, const std::stop_token& stop) {
  ServiceManager manager;
  manager.status("Reading manifests and state");
  INGOT_TRY_ASSIGN(auto server_settings, server_options(options));
  TokenFiles token_files(options);
  INGOT_TRY_ASSIGN(const auto tokens, token_files.load());
  INGOT_TRY_ASSIGN(auto catalog, open_live_catalog(options.catalog, options.kubernetes, stop));
  const SiteOptions site_options{.catalog = std::move(catalog), .machines = options.machines};
  // Manifests that are wrong are said before a state file is made.
  INGOT_TRY(load_site(site_options));

  Fleet fleet;  // outlives the store, whose thread tells it of events
  INGOT_TRY_ASSIGN(
      const auto store,
      Store::open({.path = state_file(options),
                   .same_body = same_json,
                   .on_warning = [](const std::string& text) { say("warning: " + text); }}));
  INGOT_TRY_ASSIGN(const auto site,
                   LiveSite::open(site_options, [&fleet, &store = *store](const Site& now) {
                     std::vector<std::string> names;
                     for (const Machine& machine : now.manifests.machines)
                       names.push_back(machine.name);
                     return fleet.set_machines(names, store);
                   }));
  Metrics metrics;
  RestApi api(*store, fleet, *site, metrics);
  api.set_tokens(tokens);
  if (is_loopback(options.listen_address)) api.set_loopback_only();
  warn_of_open_doors(options, *tokens);
  if (tokens->asks_machines())
    for (const MachineState& machine : fleet.all())
      if (tokens->machine_token(machine.name).empty())
        say(fmt::format(
            "warning: {} has no token for the machine {}: it can neither ask nor report",
            options.machine_tokens_file, machine.name));
  INGOT_TRY_ASSIGN(const auto server, HttpServer::start(std::move(server_settings), api));
  const bool six = options.listen_address.find(':') != std::string::npos;
  say(fmt::format("listening at {}://{}{}{}:{}/ for {} machines",
                  options.tls_certificate_file.empty() ? "http" : "https", six ? "[" : "",
                  options.listen_address, six ? "]" : "", server->port(), fleet.all().size()));

  manager.ready();
  while (pause(stop, kLookForTokens)) {
    // Who asks reads the store on these threads: one that hangs in it does not come to this.
    if (server->responds(true)) manager.alive();
    manager.status(describe(fleet));
    if (!token_files.changed()) continue;
    // The tokens there are stay valid until those that replace them can be read.
    if (const auto next = token_files.load()) {
      api.set_tokens(*next);
      say("the tokens changed and are taken");
    } else {
      say("the tokens changed and are not taken: " + next.error().message());
    }
  }
  manager.stopping("Stopping");
  return {};
}

}  // namespace ingot::agent
