/// DeployRequest: what a machine is to become, with every name resolved. `ingot resolve` prints it,
/// a controller serves it, `ingot provision` does it. docs/provisioning.md has its form.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/text/yaml_document.hpp"
#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

inline constexpr std::string_view kDeployRequestVersion = "ingot.io/v1";

/// What is done when an image was written.
enum class OnSuccess { reboot, poweroff, kexec, none };
[[nodiscard]] std::string_view name(OnSuccess action) noexcept;
[[nodiscard]] std::optional<OnSuccess> parse_on_success(std::string_view text) noexcept;

/// A kind of its own (apiVersion ingot.io/v1, kind DeployRequest); "" and empty: not said. Holds
/// secrets (user data, token): never log one whole.
struct DeployRequest {
  std::string machine;            ///< metadata.name
  std::string os_image;           ///< spec.osImage: the name that led to the image
  std::vector<std::string> urls;  ///< spec.image.urls: mirrors; at least one
  ChecksumRequest checksum;       ///< spec.image.checksum, .checksumType
  std::string format;             ///< spec.image.format: "raw", "qcow2", …; "": by content
  std::string device;             ///< spec.target.device
  std::string root_device_hints;  ///< spec.target.rootDeviceHints: a JSON object
  std::string user_data;          ///< spec.configDrive.userData: "#cloud-config…", a script, …
  std::string meta_data;          ///< spec.configDrive.metaData: a JSON object
  std::string network_data;       ///< spec.configDrive.networkData: JSON or YAML, as given
  std::vector<std::string> ssh_keys;     ///< spec.sshKeys: lines of authorized_keys
  std::vector<std::string> dns_servers;  ///< spec.dnsServers
  std::string server_name;               ///< spec.serverName: the only host that it is for
  std::string report_url;                ///< spec.report.url; may be relative to the request's URL
  std::string report_token;              ///< spec.report.token; a secret
  std::optional<OnSuccess> on_success;   ///< spec.onSuccess
};

/// The document that it is written as.
[[nodiscard]] YamlNode to_document(const DeployRequest& request);

/// As JSON on several lines, with a line end.
[[nodiscard]] std::string to_json(const DeployRequest& request);

/// Reads what a server or a file says a machine is to become, YAML or JSON, 1 MiB at most:
///   - a DeployRequest;
///   - an OSImage (its Metal3 properties);
///   - a map of properties: `properties: {metal3.vcluster.com/image-url: …}`.
/// Strict: unknown keys of a DeployRequest are errors, since a request of which half is not
/// understood must not overwrite a disk. `from` is for messages.
/// Errors: usage.manifest: "FROM:LINE: FIELD: …".
Result<DeployRequest> parse_deploy_request(std::string_view text, const std::string& from);

}  // namespace ingot::agent
