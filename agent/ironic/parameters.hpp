/// AgentOptions: what the agent is told, by the kernel command line, a config file, or its own
/// options, under the names that Ironic's agent gave the parameters.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/machine/power.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Everything that the agent needs to start. May hold a token: never log one whole.
struct AgentOptions {
  std::vector<std::string> api_urls;  ///< Ironic's, without a slash at the end; first preferred
  bool api_by_mdns = false;           ///< instead: ask the network
  std::vector<std::string> inspection_callback_urls;
  bool inspection_by_mdns = false;
  std::vector<std::string> inspection_collectors;  ///< empty: not given
  std::string boot_interface;                      ///< BOOTIF as it was given, or ""

  std::string listen_address;           ///< IP address; "": every one
  std::uint16_t listen_port = 9999;     ///< 0: any
  std::string advertise_host;           ///< "": the address that leads to the API
  std::uint16_t advertise_port = 0;     ///< 0: the one that it listens at
  std::string advertise_protocol;       ///< "http", "https"; "": https if the API takes it
  std::string network_interface;        ///< whose address is advertised; "": as above
  std::vector<std::string> macs;        ///< instead of the machine's own
  std::vector<std::string> only_disks;  ///< no other disk exists for the agent; empty: all
  PowerMode power = PowerMode::real;
  std::string run_dir = "/run/ingot";  ///< token, key and certificate of this boot

  std::string agent_token;                        ///< secret; "": lookup brings one
  std::string ca_file;                            ///< PEM; "": the system's
  bool tls_insecure = false;                      ///< servers are not verified
  std::string client_cert_file, client_key_file;  ///< both or neither
  std::string listen_cert_file, listen_key_file;  ///< of the agent's server; both or neither
  bool listen_tls = false;        ///< whatever is advertised; with those, or else with its own
  bool auto_tls = true;           ///< makes a key and certificate where the API takes them
  std::string tls_min_version;    ///< "1.2", "1.3"; "": 1.2, or what lookup says
  std::string tls_cipher_suites;  ///< of TLS 1.2; "": ours, or what lookup says

  std::chrono::seconds lookup_timeout{600};
  std::chrono::seconds lookup_interval{1};
  std::chrono::seconds http_request_timeout{30};
  std::chrono::seconds hardware_delay{0};
  unsigned disk_wait_attempts = 10;
  std::chrono::seconds disk_wait_delay{3};
  std::string global_request_id;
  std::string api_version;  ///< "1.68"; "": asked for
  bool guard_special_filesystems = true;
  bool ignore_boot_loader_failure = false;
  std::chrono::seconds dhcp_wait{60};
  bool dhcp_wait_all = false;
  bool collect_lldp = false;
  std::chrono::seconds lldp_timeout{30};
  bool virtual_media = false;  ///< boot_method=vmedia
  bool allow_power = false;    ///< ingot.allow-power=1
  bool debug = false;
};

/// Applies a kernel command line (or virtual media's parameters.txt): words `ipa-NAME=VALUE`,
/// `BOOTIF=`, `boot_method=`, `ingot.allow-power=`; of one given twice the last counts; no quoting.
/// All other words are somebody else's. Returns what is wrong with values, a sentence each without
/// the value; such a parameter stays as it was, since the machine has no other chance to start.
std::vector<std::string> apply_kernel_command_line(AgentOptions& options, std::string_view text);

/// Applies an INI file as Ironic's agent has it: section [DEFAULT], names with underscores. Returns
/// as above. Errors: usage.option (unreadable, malformed, more than 1 MiB).
Result<std::vector<std::string>> apply_config_file(AgentOptions& options, const std::string& path);

/// URLs separated by commas: http or https, each without slashes at its end, any path kept.
/// Errors: usage.option, without credentials.
Result<std::vector<std::string>> parse_api_urls(std::string_view text);

}  // namespace ingot::agent
