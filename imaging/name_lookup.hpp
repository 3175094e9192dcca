/// Why a name was not found: what libcurl, which says the same of every case, does not tell.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

namespace ingot::imaging {

/// Where the names of this machine's name servers are.
struct ResolverFiles {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string behind_stub = "/run/systemd/resolve/resolv.conf";  ///< whom systemd-resolved asks
};

struct LookupFailure {
  /// A name server said that there is no such name, and none knows it. Else (no answer, or that of
  /// a server in trouble) a later lookup may well find it.
  bool no_such_name = false;
  /// "the name a.example does not exist: 10.0.0.1 (asked from 10.0.0.7 on eth0) answers NXDOMAIN".
  std::string reason;
};

/// Asks every name server of this machine for `name` once more, all at the same time, to tell which
/// of them answers what. For after a lookup failed: /etc/hosts is not looked at. `name` comes from
/// a URL.
///
/// Waits  `patience` at most, and ends at once when `stop` is requested.
/// Sends  one question a server for the name itself and one for it in each search domain, as the
///        C library did. Takes a socket each; nothing is kept.
LookupFailure explain_lookup(const std::string& name, std::chrono::milliseconds patience,
                             std::stop_token stop, const ResolverFiles& files = {});

}  // namespace ingot::imaging
