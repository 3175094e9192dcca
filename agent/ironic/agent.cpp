#include "agent/ironic/agent.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/http/http_server.hpp"
#include "agent/http/tls_identity.hpp"
#include "agent/ironic/boot_commands.hpp"
#include "agent/ironic/cleaning.hpp"
#include "agent/ironic/command_table.hpp"
#include "agent/ironic/deploying.hpp"
#include "agent/ironic/heartbeats.hpp"
#include "agent/ironic/identity_store.hpp"
#include "agent/ironic/inspection.hpp"
#include "agent/ironic/ironic_client.hpp"
#include "agent/ironic/mdns.hpp"
#include "agent/ironic/node_commands.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/rest_api.hpp"
#include "agent/ironic/standby_commands.hpp"
#include "agent/ironic/steps.hpp"
#include "agent/job/device_report.hpp"
#include "agent/machine/host.hpp"
#include "agent/machine/power.hpp"
#include "agent/process/service_manager.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kRescued = "/etc/.rescued";

tl::unexpected<Error> stopped() {
  return fail(Errc::cancelled, "the agent was stopped");
}

class Agent {
 public:
  Agent(const AgentOptions& options, ServiceManager& manager, const std::stop_token& stop)
      : options_(options),
        manager_(manager),
        stop_(stop),
        store_(options.run_dir),
        client_(options),
        power_(make_power(options.power, options.allow_power,
                          [this] { control_.end(AgentEnd::powered_off); })) {}

  Result<AgentEnd> run() {
    if (::access(kRescued, F_OK) == 0) {
      say("this machine was rescued: no server, no heartbeats");
      manager_.ready();
      manager_.status("The machine was rescued: no server, no heartbeats");
      return wait_for_good(AgentEnd::rescued);
    }
    const bool inspection_wanted = wants_inspection(options_);
    // Said before a minute was spent on waiting for hardware.
    if (options_.api_urls.empty() && !inspection_wanted)
      return fail(Errc::usage_option, "no URL of Ironic's API is known",
                  "put ipa-api-url=URL on the kernel command line, or give --api-url");
    begin("Waiting for the hardware", options_.hardware_delay);
    if (!pause(stop_, options_.hardware_delay)) return AgentEnd::stopped;
    say(clock_is_synchronized()
            ? "the clock is synchronized"
            : "the clock is not synchronized yet; a wrong one makes certificates invalid");
    wait_for_disks();
    if (inspection_wanted) {
      inspect_machine();
      // Nothing else was asked for; the conductor switches the machine off.
      if (options_.api_urls.empty()) {
        manager_.ready();
        manager_.status("Inspected; waiting to be switched off");
        return wait_for_good(AgentEnd::stopped);
      }
    }
    if (const auto there = join_ironic(); !there) return unless_stopped(there.error());
    return serve();
  }

 private:
  // A step of the start, and how long it takes at most by its own time-outs.
  void begin(std::string_view step, std::chrono::seconds at_most) {
    constexpr seconds kSlack{120};  // of a machine under load, and for what has no time-out
    manager_.status(step, at_most + kSlack);
  }

  Result<AgentEnd> unless_stopped(const Error& error) const {
    if (stop_.stop_requested()) return AgentEnd::stopped;
    return tl::unexpected(error);
  }

  // Whatever comes of it, the machine may still be deployed.
  void inspect_machine() {
    constexpr seconds kLogsAndAttempts{300};
    begin("Inspecting the machine", options_.dhcp_wait + options_.lldp_timeout + kLogsAndAttempts +
                                        5 * options_.http_request_timeout);
    const auto inspected = inspect(options_, client_, node_, stop_);
    if (inspected)
      node_uuid_ = *inspected;
    else
      say(fmt::format("warning: {}", inspected.error().message()));
  }

  // A disk that is not there when an image comes would be no disk at all.
  void wait_for_disks() {
    begin("Waiting for a disk", options_.disk_wait_attempts * options_.disk_wait_delay);
    for (unsigned attempt = 0; attempt < options_.disk_wait_attempts; ++attempt) {
      const auto report = look_at_devices(options_.only_disks, std::nullopt);
      if (report && !report->disks.empty()) return;
      if (attempt == 0) say("waiting for a disk");
      if (!pause(stop_, options_.disk_wait_delay)) return;
    }
    say("warning: there is no disk; an inspection can still be made");
  }

  Result<std::vector<std::string>> wait_for_macs() {
    constexpr seconds kPatience{60}, kLook{1};
    if (!options_.macs.empty()) return options_.macs;
    const auto end = Clock::now() + kPatience;
    for (bool told = false;; told = true) {
      auto macs = mac_addresses();
      if (!macs.empty()) return macs;
      if (Clock::now() >= end)
        return fail(Errc::controller_unreachable, "this machine has no network interface",
                    "load the driver of its network card, or give --mac");
      if (!told) say("waiting for a network interface");
      if (!pause(stop_, kLook)) return stopped();
    }
  }

  // Who this node is, and by what address the conductor reaches it.
  Result<void> join_ironic() {
    begin("Waiting for a network interface", seconds(60));
    INGOT_TRY_ASSIGN(const auto macs, wait_for_macs());
    say(fmt::format("looking up the node with {} at {}", fmt::join(macs, ", "),
                    redacted(options_.api_urls.front())));
    begin(fmt::format("Looking up at {}", redacted(options_.api_urls.front())),
          options_.lookup_timeout +
              2 * options_.http_request_timeout * static_cast<int>(options_.api_urls.size()));
    INGOT_TRY(look_up(macs));
    begin(fmt::format("Node {} was found", node_.uuid()), seconds(60));
    INGOT_TRY_ASSIGN(host_, advertised_host());
    return {};
  }

  // Until it is found, refuses for good, or the time is over.
  Result<void> look_up(const std::vector<std::string>& macs) {
    constexpr seconds kLongest{60};
    constexpr std::array<seconds, 3> kLocked{seconds(5), seconds(10), seconds(30)};
    const auto end = Clock::now() + options_.lookup_timeout;
    std::mt19937 random{std::random_device{}()};
    auto longest = std::chrono::duration<double>(std::max(options_.lookup_interval, seconds(1)));
    std::size_t locked = 0;
    std::string told;
    for (;;) {
      auto answer = look_up_once(macs);
      if (answer) return adopt(*answer);
      if (stop_.stop_requested()) return stopped();
      // A node that is not there yet is asked for again and again; once is enough for the log.
      if (const std::string message = answer.error().message();
          message != std::exchange(told, message))
        say(fmt::format("{}; trying again", message));
      std::chrono::duration<double> wait(std::uniform_real_distribution<>(
          std::min(static_cast<double>(options_.lookup_interval.count()), longest.count() / 2),
          longest.count())(random));
      longest = std::min<std::chrono::duration<double>>(longest * 2, kLongest);
      constexpr long kConflict = 409;
      if (client_.last_status() == kConflict)
        wait += kLocked.at(std::min(locked++, kLocked.size() - 1));
      if (Clock::now() + wait >= end)
        return tl::unexpected(answer.error().with_context(
            fmt::format("no node was found in {} s", options_.lookup_timeout.count())));
      if (!pause(stop_, std::chrono::duration_cast<milliseconds>(wait))) return stopped();
    }
  }

  Result<LookupAnswer> look_up_once(const std::vector<std::string>& macs) {
    INGOT_TRY(client_.discover(stop_));
    return client_.lookup(macs, node_uuid_, stop_);
  }

  Result<void> adopt(const LookupAnswer& answer) {
    if (!options_.agent_token.empty()) node_.set_token(options_.agent_token);
    node_.adopt(answer);
    client_.set_tls(answer.tls_min_version, answer.tls_cipher_suites);
    tls_min_version_ =
        !answer.tls_min_version.empty() ? answer.tls_min_version : options_.tls_min_version;
    tls_cipher_suites_ =
        !answer.tls_cipher_suites.empty() ? answer.tls_cipher_suites : options_.tls_cipher_suites;
    heartbeat_timeout_ = answer.heartbeat_timeout;
    const auto saved = store_.token();
    const bool known = saved && saved->node_uuid == answer.uuid;
    if (node_.token().empty() && known) node_.set_token(saved->token);
    if (node_.token().empty() && answer.token_withheld)
      return fail(Errc::controller_refused,
                  fmt::format("node {} was found, but Ironic gave its token to another agent of "
                              "this boot",
                              answer.uuid),
                  "have Ironic reboot the node, which makes it forget the token");
    restarted_ = known && saved->token == node_.token();
    if (!restarted_) store_.forget_command();
    if (const auto kept = store_.save(SavedToken{answer.uuid, node_.token()}))
      token_saved_ = true;
    else
      say(fmt::format("warning: {}: a restarted agent will not be known to Ironic",
                      kept.error().message()));
    say(fmt::format("this is node {}; Ironic's API {}", answer.uuid, client_.version()->text()));
    return {};
  }

  Result<std::string> advertised_host() {
    constexpr int kAttempts = 30;
    constexpr seconds kBetween{2};
    if (!options_.advertise_host.empty()) return options_.advertise_host;
    for (int attempt = 1;; ++attempt) {
      auto host = options_.network_interface.empty()
                      ? address_towards(client_.api_url())
                      : address_of_interface(options_.network_interface);
      if (host || attempt == kAttempts) return host;
      if (!pause(stop_, kBetween)) return stopped();
    }
  }

  Result<AgentEnd> serve() {
    INGOT_TRY_ASSIGN(const TlsServerOptions tls, tls_options());
    const bool secure = !tls.certificate.empty();
    // Declared in the order in which each needs the one before; destroyed the other way round.
    std::atomic<Heartbeats*> told{nullptr};
    CommandTable table({.on_begin = [this](const CommandRecord& record) { return keep(record); },
                        .on_end =
                            [this, &told](const CommandRecord& record) {
                              if (const auto kept = keep(record); !kept)
                                say(fmt::format("warning: {}", kept.error().message()));
                              if (Heartbeats* heartbeats = told) heartbeats->force();
                            }});
    if (auto before = store_.command(); before && restarted_) {
      say(fmt::format("{} was begun before this start: {}", before->name,
                      before->error ? before->error->details : "it succeeded"));
      table.restore(*std::move(before));
    }
    add_commands(table);
    RestApi api(table, node_);
    HttpServerOptions listening;
    listening.addresses = {options_.listen_address.empty() ? "::" : options_.listen_address};
    listening.port = options_.listen_port;
    listening.tls = tls;
    auto started = HttpServer::start(listening, api);
    if (!started && options_.listen_address.empty()) {
      listening.addresses = {"0.0.0.0"};  // a kernel without IPv6
      started = HttpServer::start(listening, api);
    }
    if (!started) return tl::unexpected(started.error());
    auto server = *std::move(started);
    const std::uint16_t port =
        options_.advertise_port != 0 ? options_.advertise_port : server->port();
    const std::string protocol = !options_.advertise_protocol.empty() ? options_.advertise_protocol
                                 : secure                             ? "https"
                                                                      : "http";
    const std::string own_url = url_of(protocol, host_, port);
    api.set_own_url(own_url);
    say(fmt::format("serving at {}", own_url));
    manager_.ready();
    Heartbeats heartbeats(client_, node_, own_url, own_certificate_, heartbeat_timeout_);
    told = &heartbeats;
    const AgentEnd how = watch_over(*server, heartbeats);
    const bool for_good = how == AgentEnd::locked_down || how == AgentEnd::rescued;
    if (for_good)  // not stopping: systemd would end what does not, and start it anew
      manager_.status("No server and no heartbeats, until the machine is switched off");
    else
      manager_.stopping(how == AgentEnd::powered_off ? "Switching the machine off"
                        : node_.job() ? "Stopping: the disk is left so that it does not boot"
                                      : "Stopping");
    heartbeats.stop();
    server->stop_accepting();
    constexpr seconds kLastAnswer{1};
    if (for_good) pause(stop_, kLastAnswer);
    table.request_stop();  // or the server waits for a synchronous one
    server.reset();
    table.finish();
    if (how == AgentEnd::locked_down) power_->isolate();
    return for_good ? wait_for_good(how) : how;
  }

  // Until the end: tells how far a job is, and feeds the watchdog.
  AgentEnd watch_over(HttpServer& server, const Heartbeats& heartbeats) {
    constexpr seconds kLook{1}, kSayEvery{10};
    auto said = Clock::now();
    std::shared_ptr<const JobWatch> before;
    for (;;) {
      const auto job = node_.job();
      manager_.status(job ? job->status() : "Waiting for commands");
      // For the log and the console: of a job that is over in no time its phases are enough.
      if (std::exchange(before, job) != job) said = Clock::now();
      if (job && Clock::now() - said >= kSayEvery) {
        said = Clock::now();
        say(job->status());
      }
      if (server.responds() && heartbeats.on_time()) manager_.alive();
      if (const auto how = control_.wait(stop_, kLook)) return *how;
    }
  }

  // An agent that will be known to Ironic after a restart must know then what it was doing.
  Result<void> keep(const CommandRecord& record) const {
    if (!token_saved_) return {};
    return store_.save(record);
  }

  void add_commands(CommandTable& table) {
    std::vector<Step> steps = cleaning_steps(options_, node_);
    for (Step& step : deploy_steps(options_, node_)) steps.push_back(std::move(step));
    add_step_commands(table, std::move(steps), node_);
    add_deploy_commands(table, options_, node_);
    add_boot_commands(table, options_, node_);
    add_standby_commands(table, *power_, control_);
    add_node_commands(table, options_, node_, control_);
  }

  // A restart would send heartbeats again, so it stays until it is told to end.
  [[nodiscard]] AgentEnd wait_for_good(AgentEnd how) const {
    do manager_.alive();
    while (pause(stop_, seconds(1)));
    return how;
  }

  // Files that somebody made for the server, or a key and certificate of our own: where Ironic
  // takes them, or without its knowledge where a proxy is to find TLS. Or neither.
  Result<TlsServerOptions> tls_options() {
    TlsServerOptions tls;
    if (tls_min_version_ == "1.3") tls.min_version = "1.3";
    tls.cipher_suites = tls_cipher_suites_;
    const bool files = !options_.listen_cert_file.empty() || !options_.listen_key_file.empty();
    if (options_.listen_tls && (files || !options_.auto_tls)) {
      INGOT_TRY_ASSIGN(const TlsIdentity made,
                       read_tls_identity(options_.listen_cert_file, options_.listen_key_file));
      tls.certificate = made.certificate;
      tls.private_key = made.private_key;
      return tls;
    }
    const bool taken = client_.version().value_or(ApiVersion{}) >= kWithCertificate &&
                       options_.advertise_protocol != "http";
    if (!options_.listen_tls && (!options_.auto_tls || !taken)) return tls;
    const std::string host = taken ? host_ : address_behind_proxy();
    auto identity = store_.tls();
    if (!identity || !suits(*identity, host)) {
      std::array<char, 256> name{};
      if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0')
        std::copy_n("localhost", 10, name.begin());
      INGOT_TRY_ASSIGN(identity, make_tls_identity(host, name.data()));
      if (auto saved = store_.save(*identity); !saved)
        say(fmt::format("warning: {}", saved.error().message()));
    }
    tls.certificate = identity->certificate;
    tls.private_key = identity->private_key;
    if (taken) own_certificate_ = identity->certificate;
    return tls;
  }

  // What is advertised is the proxy's, and may be a name.
  [[nodiscard]] std::string address_behind_proxy() const {
    const std::string& listening = options_.listen_address;
    if (!listening.empty() && listening != "::" && listening != "0.0.0.0") return listening;
    return address_towards(client_.api_url()).value_or("127.0.0.1");
  }

  const AgentOptions& options_;
  ServiceManager& manager_;
  const std::stop_token& stop_;
  const IdentityStore store_;
  AgentControl control_;
  NodeState node_;
  IronicClient client_;
  const std::unique_ptr<Power> power_;
  bool token_saved_ = false;
  bool restarted_ = false;  // in the same boot, as far as Ironic is concerned
  std::string node_uuid_;   // known from an inspection in this boot
  std::string host_;
  std::string own_certificate_;
  std::string tls_min_version_, tls_cipher_suites_;
  seconds heartbeat_timeout_{300};
};

}  // namespace

Result<AgentEnd> run_agent(const AgentOptions& options, const std::stop_token& stop) {
  ServiceManager manager;
  AgentOptions found = options;
  if (found.api_by_mdns || found.inspection_by_mdns)
    manager.status("Asking the network for Ironic", 2 * found.lookup_timeout + seconds(60));
  if (const auto named = find_by_mdns(found, MdnsTools::of_this_machine(), stop); !named) {
    if (stop.stop_requested()) return AgentEnd::stopped;
    return tl::unexpected(named.error());
  }
  auto ended = Agent(found, manager, stop).run();
  manager.stopping(ended ? "Stopping" : "Ended: " + ended.error().message());
  return ended;
}

}  // namespace ingot::agent
