/// Properties: what the links of a chain (NodeProvider, NodeType, NodeEnvironment, Machine) say
/// about a machine, the later link winning key by key, and where each value came from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

// The platform's.
inline constexpr std::string_view kOsImage = "vcluster.com/os-image";
inline constexpr std::string_view kNodeType = "vcluster.com/node-type";
inline constexpr std::string_view kNetworkEnvironment = "vcluster.com/network-environment";
inline constexpr std::string_view kSshKeys = "vcluster.com/ssh-keys";
inline constexpr std::string_view kUserData = "vcluster.com/user-data";
inline constexpr std::string_view kUserDataTemplate = "vcluster.com/user-data-template-config";
inline constexpr std::string_view kNetworkData = "metal3.vcluster.com/network-data";
inline constexpr std::string_view kNetworkDataTemplate =
    "vcluster.com/network-data-template-config";
inline constexpr std::string_view kNetworkCidr = "metal3.vcluster.com/network-cidr";
inline constexpr std::string_view kNetworkIpRange = "metal3.vcluster.com/network-ip-range";
inline constexpr std::string_view kDnsServers = "metal3.vcluster.com/dns-servers";
inline constexpr std::string_view kServerName = "metal3.vcluster.com/server-name";
// Ours.
inline constexpr std::string_view kDevice = "ingot.io/device";
inline constexpr std::string_view kRootDeviceHints = "ingot.io/root-device-hints";
inline constexpr std::string_view kImageFormat = "ingot.io/image-format";
inline constexpr std::string_view kOnSuccess = "ingot.io/on-success";
inline constexpr std::string_view kReportUrl = "ingot.io/report-url";
inline constexpr std::string_view kMacAddresses = "ingot.io/mac-addresses";
inline constexpr std::string_view kSystemUuid = "ingot.io/system-uuid";
inline constexpr std::string_view kSerialNumber = "ingot.io/serial-number";
inline constexpr std::string_view kReinstall = "ingot.io/reinstall";

/// Where a value stands.
struct Origin {
  std::string kind;  ///< "NodeType"; "": of no manifest
  std::string name;  ///< of the object
  std::string file;  ///< "": an option
  int line = 0;
  /// "types.yaml:12: NodeType 'large'".
  [[nodiscard]] std::string place() const;
  /// "NodeType 'large'".
  [[nodiscard]] std::string object() const;
};

/// A value that another one won over, or that does not count.
struct OtherValue {
  std::string value;
  Origin origin;
};

struct Property {
  std::string name, value;
  Origin origin;
  std::vector<OtherValue> overrode;  ///< the nearest link first
};

/// The values that a chain comes to.
class PropertySet {
 public:
  /// Of a later link: wins over what is there.
  void set(const std::string& name, std::string value, Origin origin);
  /// Of something that every link wins over.
  void set_underneath(const std::string& name, std::string value, Origin origin);

  [[nodiscard]] const Property* find(std::string_view name) const;
  /// "" where there is none.
  [[nodiscard]] std::string value(std::string_view name) const;
  /// In the order of their names.
  [[nodiscard]] const std::vector<Property>& all() const noexcept { return properties_; }

  /// usage.manifest: "FILE:LINE: KIND 'NAME': PROPERTY: WHY", or without a place where there is no
  /// such property. `why` does not quote the value of what may hold secrets.
  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view property, std::string_view why,
                                             std::string advice = {}) const;

 private:
  std::vector<Property> properties_;  // by name
};

/// Whether a property is about one machine: on anything but a Machine (or NodeClaim) it would make
/// many machines one.
[[nodiscard]] bool belongs_on_machine(std::string_view name) noexcept;

/// "a, b ,c" without blanks and empty parts.
[[nodiscard]] std::vector<std::string> comma_separated(std::string_view text);

}  // namespace ingot::agent
