// `ingot agent`.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/ironic/agent.hpp"
#include "agent/ironic/virtual_media.hpp"
#include "agent/machine/kernel_command_line.hpp"
#include "agent/process/exit_code.hpp"
#include "agent/process/signal_watch.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

// Where ironic-python-agent has its configuration; a RAM disk made for it stays as it is.
constexpr const char* kConfigFile = "/etc/ironic-python-agent/ironic-python-agent.conf";
constexpr const char* kConfigDirectory = "/etc/ironic-python-agent.d";

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

class AgentGrammar final : public CommandGrammar {
 public:
  explicit AgentGrammar(CLI::App& app) : CommandGrammar(app) {
    const OptionGroup parameters(app, "Parameters");
    parameters.value("--cmdline", options_.cmdline, "FILE",
                     "kernel command line with ipa-…=… (default: /proc/cmdline)");
    parameters.value("--config", config_, "FILE",
                     "INI file as ironic-python-agent has it (default:\n"
                     "its own places, where they exist)");
    parameters.each("--api-url", urls_, "URL",
                    "Ironic's API, without /v1; again: another to turn\nto (ipa-api-url)");
    const OptionGroup server(app, "Server");
    server.value("--listen", listen_, "ADDR:PORT",
                 "where the conductor's commands come in\n"
                 "(default: every address, port 9999)");
    server.flag("--listen-tls", options_.listen_tls,
                "TLS there even if http is advertised: a proxy is\n"
                "between, and does not verify (ipa-listen-tls)");
    server.value("--advertise-host", options_.advertise_host, "HOST",
                 "address told to Ironic (default: the one that\nleads to its API)");
    server.value("--advertise-port", port_, "PORT",
                 "port told to Ironic (default: that of --listen)");
    server.choice("--advertise-protocol", options_.advertise_protocol, "PROTOCOL",
                  {"http", "https"},
                  "http or https (default: https with a certificate\n"
                  "of its own, where the API takes one)");
    server.value("--run-dir", options_.run_dir, "DIR",
                 "token, key and certificate of this boot, for a\nrestart (default: /run/ingot)");
    const OptionGroup machine(app, "Machine");
    machine.each("--only-device", options_.only_devices, "DEV",
                 "the only disk there is for it; again: one more");
    machine_.emplace(app);
  }

  Result<Command> understand() override {
    if (given("--config")) options_.config = config_;
    for (const std::string& url : urls_) {
      auto parsed = parse_api_urls(url);
      if (!parsed) return wrong("--api-url: " + parsed.error().message(), "agent");
      options_.api_urls.insert(options_.api_urls.end(), parsed->begin(), parsed->end());
    }
    INGOT_TRY(understand_listen());
    if (given("--advertise-port")) {
      options_.advertise_port = port_of(port_);
      if (!options_.advertise_port)
        return wrong("--advertise-port: '" + port_ + "' is no port", "agent");
    }
    INGOT_TRY_ASSIGN(auto machine, machine_->understand());
    options_.macs = std::move(machine.macs);
    options_.power = machine.power;
    return options_;
  }

 private:
  Result<void> understand_listen() {
    if (!given("--listen")) return {};
    const auto colon = listen_.rfind(':');
    if (colon != std::string::npos) options_.listen_port = port_of(listen_.substr(colon + 1));
    if (!options_.listen_port)
      return wrong("--listen: '" + listen_ + "' is not of the form ADDR:PORT", "agent");
    options_.listen_address = listen_.substr(0, colon);
    if (options_.listen_address.starts_with('[') && options_.listen_address.ends_with(']'))
      options_.listen_address = options_.listen_address.substr(1, colon - 2);
    // Otherwise it would only be noticed once the node was found.
    if (!options_.listen_address.empty() && !is_ip_address(options_.listen_address))
      return wrong("--listen: '" + options_.listen_address + "' is no IP address", "agent");
    return {};
  }

  // A link-local one may have a scope ("fe80::1%eth0"), which is looked at when it is used.
  static bool is_ip_address(const std::string& text) {
    in6_addr parsed{};  // has room for either kind
    return ::inet_pton(AF_INET, text.c_str(), &parsed) == 1 ||
           ::inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(), &parsed) == 1;
  }

  AgentCommandOptions options_;
  std::string config_, listen_, port_;
  std::optional<MachineGrammar> machine_;
  std::vector<std::string> urls_;
};

// The kernel command line first, then virtual media; a config file knows better, and who starts us
// best.
Result<AgentOptions> agent_options(const AgentCommandOptions& given, const std::stop_token& stop) {
  AgentOptions options;
  INGOT_TRY_ASSIGN(const std::string line, read_kernel_command_line(given.cmdline));
  auto problems = apply_kernel_command_line(options, line);
  if (!given.run_dir.empty()) options.run_dir = given.run_dir;
  VirtualMedia media;
  if (options.virtual_media) {
    media = read_virtual_media(VirtualMediaPlaces{}, options.run_dir, stop);
    problems.insert(problems.end(), media.problems.begin(), media.problems.end());
    const auto more = apply_kernel_command_line(options, media.parameters);
    problems.insert(problems.end(), more.begin(), more.end());
  }
  std::vector<std::string> files;
  std::error_code error;
  if (!given.config && fs::exists(kConfigFile, error)) files.emplace_back(kConfigFile);
  if (!given.config)
    for (const auto& entry : fs::directory_iterator(kConfigDirectory, error))
      if (entry.path().extension() == ".conf") files.push_back(entry.path());
  files = config_files(files, media);
  if (given.config) files.push_back(*given.config);
  for (const std::string& name : files) {
    INGOT_TRY_ASSIGN(const auto more, apply_config_file(options, name));
    problems.insert(problems.end(), more.begin(), more.end());
  }
  use_files_of_medium(options, media);
  for (const std::string& problem : problems) say("warning: " + problem);
  if (!given.api_urls.empty()) options.api_urls = given.api_urls;
  if (given.listen_port) {
    options.listen_address = given.listen_address;
    options.listen_port = *given.listen_port;
  }
  if (!given.advertise_host.empty()) options.advertise_host = given.advertise_host;
  if (given.advertise_port) options.advertise_port = *given.advertise_port;
  if (!given.advertise_protocol.empty()) options.advertise_protocol = given.advertise_protocol;
  if (given.listen_tls) options.listen_tls = true;
  options.macs = given.macs;
  options.only_disks = given.only_devices;
  options.power = given.power;
  return options;
}

}  // namespace

std::unique_ptr<CommandGrammar> agent_grammar(CLI::App& ingot) {
  return std::make_unique<AgentGrammar>(
      add_command(ingot, "agent", "serve an Ironic conductor", kAgentAbout, kAgentFooter));
}

int run_command(const AgentCommandOptions& given) {
  std::stop_source stop;
  // First of all, so that every thread below inherits the blocked signals.
  const SignalWatch signals([&stop](int signal, int count) {
    say(count == 1 ? fmt::format("stopping: {}", signal_name(signal))
                   : std::string("already stopping; waiting for the disk"));
    stop.request_stop();
  });
  const auto options = agent_options(given, stop.get_token());
  if (!options) return complain(options.error());
  const auto ended = run_agent(*options, stop.get_token());
  if (!ended) return complain(ended.error());
  return *ended == AgentEnd::powered_off ? kExitDone : kExitCancelled;
}

}  // namespace ingot::agent
