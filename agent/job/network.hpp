/// From options, whose secrets are in files, to what imaging needs to talk to servers.
#pragma once

#include <chrono>
#include <string>

#include "disk/core/error.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

/// How to talk to servers, with secrets in files that are read later.
struct NetworkOptions {
  std::string ca_file;
  bool tls_insecure = false;
  std::string proxy, no_proxy;
  std::string user, password_file;
  std::string platform;  ///< OS/ARCH, see imaging::parse_platform(); empty: this machine's
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds stall_timeout{30'000};
  std::chrono::milliseconds retry_deadline{300'000};
};

/// Reads the password file and makes sure that the CA file can be read, so that a wrong name is an
/// error of usage now and not one of the server's later. Errors: usage.option.
Result<imaging::TransferOptions> transfer_options(const NetworkOptions& options);

}  // namespace ingot::agent
