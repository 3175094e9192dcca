/// HostIdentity: by what a server knows this machine, and URLs that are made of it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// "" and empty for what is not known.
struct HostIdentity {
  std::vector<std::string> macs;  ///< lower case with colons; the NIC that it booted from first
  std::string system_uuid;        ///< lower case
  std::string serial_number;
  std::string host_name;

  /// "mac 52:54:00:aa:00:01, uuid …, serial …": for messages.
  [[nodiscard]] std::string describe() const;
};

/// Of `sysfs` (/sys) and the running system's host name. NICs come in the kernel's order, those
/// with a link before the others, and before all the one that the boot loader names on `cmdline`
/// (BOOTIF=01-52-54-00-aa-00-01). Only root can read UUID and serial number.
///
/// What firmware has where nobody filled it in ("To Be Filled By O.E.M.", a UUID of zeros, one that
/// a whole series of boards shares) counts as absent: it would be that of many machines.
[[nodiscard]] HostIdentity read_host_identity(const std::filesystem::path& sysfs,
                                              std::string_view cmdline);

/// `url` with this machine's identity in it: the placeholders are replaced by percent-encoded
/// values.
///   iPXE         ${net0/mac} ${net1/mac} … ${netX/mac} ${mac}, each also as …:hexhyp (dashes) and
///                …:hexraw (neither); ${uuid} ${serial} ${hostname}
///   cloud-init   __dmi.system-uuid__ __dmi.system-serial-number__
/// An http or https URL without any gets query parameters: mac= (one for each NIC), uuid=, serial=.
/// Errors: usage.option for a placeholder that is not known, one for which this machine has no
/// value (an answer for nobody would be one for anybody), and for what is no URL then.
Result<std::string> fill_in(std::string_view url, const HostIdentity& identity);

}  // namespace ingot::agent
