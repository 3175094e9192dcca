/// The URL of an API server, taken apart and brought into one form.
#pragma once

#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

struct ServerUrl {
  /// Scheme and host small, the port written out, no '/' at the end: two that name one server are
  /// equal. A path (of a proxy, or the platform's /kubernetes/management) is kept.
  std::string text;
  std::string host;  ///< without the brackets of an IPv6 address
  bool https = false;
  bool loopback = false;  ///< localhost, 127.0.0.0/8, ::1: what is sent there stays on this machine
};

/// Errors: usage.option, beginning with `what`: no http or https URL, one with credentials, a query
/// or a fragment in it.
Result<ServerUrl> parse_server_url(std::string_view text, std::string_view what);

}  // namespace ingot::agent
