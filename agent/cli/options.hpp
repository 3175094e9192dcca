/// What a command line asks for, parsed and checked for form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/ironic/parameters.hpp"
#include "agent/job/network.hpp"
#include "agent/job/request.hpp"
#include "agent/kubernetes/api_server.hpp"
#include "agent/provision/provision_options.hpp"

namespace ingot::agent {

enum class ProgressMode { automatic, bar, json, none };

/// Whom to tell how a job is going.
struct ReportingOptions {
  ProgressMode progress = ProgressMode::automatic;
  std::string report_url, report_token_file;
};

/// `ingot write`. The request's `transfer` is made of `network` when the command runs.
struct WriteOptions {
  std::string os_image;  ///< manifest that names the image, or "" (then the request does)
  WriteRequest request;
  ReportingOptions reporting;
  NetworkOptions network;
};

/// `ingot verify`; as above.
struct VerifyOptions {
  std::string os_image;
  VerifyRequest request;
  ReportingOptions reporting;
  NetworkOptions network;
};

/// `ingot erase`.
struct EraseCommandOptions {
  EraseRequest request;
  ReportingOptions reporting;
  NetworkOptions network;  ///< to whom it is reported
};

/// `ingot image-info`.
struct ImageInfoOptions {
  std::string image;  ///< a path or a URL
  bool json = false;
  NetworkOptions network;
};

/// `ingot resolve`.
struct ResolveOptions {
  enum class For { deploy_request, metal3, ironic };
  std::string catalog;    ///< a directory, or what names a Kubernetes API server
  KubernetesOptions api;  ///< which goes with that
  /// Files of manifests; "": none. `node_type` may be a name.
  std::string node_provider, node_type, node_environment, machine, bare_metal_host;
  std::string os_image;  ///< this image alone
  std::string user;      ///< with `teams`: who asks; both empty: no access check
  std::vector<std::string> teams;
  std::string provider;
  For target = For::deploy_request;
  bool json = false;
  bool explain = false;
};

/// `ingot devices`.
struct DevicesOptions {
  std::vector<std::string> devices;              ///< these alone; empty: every disk
  std::optional<std::string> root_device_hints;  ///< JSON
  bool json = false;
};

/// `ingot agent`: what overrides kernel command line and config file. Empty: does not.
struct AgentCommandOptions {
  std::string cmdline = "/proc/cmdline";
  std::optional<std::string> config;  ///< nothing: where ironic-python-agent has its own
  std::vector<std::string> api_urls;
  std::string listen_address;  ///< with `listen_port`
  std::optional<std::uint16_t> listen_port;
  std::string advertise_host, advertise_protocol;
  bool listen_tls = false;
  std::optional<std::uint16_t> advertise_port;
  std::string run_dir;
  std::vector<std::string> macs, only_devices;
  PowerMode power = PowerMode::real;
};

/// `ingot provision`: what overrides the kernel command line. Empty: does not.
struct ProvisionCommandOptions {
  std::string cmdline = "/proc/cmdline";
  ProvisionOptions given;  ///< network, power, yes, … as well
  ProgressMode progress = ProgressMode::automatic;
};

/// `--help` and `--version`: text for standard output.
struct ShowText {
  std::string text;
};

/// The hidden `--generate-reference`, which the build runs: man pages and completions.
struct GenerateReference {
  std::string directory;
};

using Command = std::variant<ShowText, GenerateReference, WriteOptions, VerifyOptions,
                             EraseCommandOptions, ImageInfoOptions, DevicesOptions, ResolveOptions,
                             AgentCommandOptions, ProvisionCommandOptions>;

}  // namespace ingot::agent
