#include "agent/job/network.hpp"

#include <unistd.h>

#include <cerrno>

#include "agent/process/secrets.hpp"

namespace ingot::agent {

Result<imaging::TransferOptions> transfer_options(const NetworkOptions& options) {
  imaging::TransferOptions transfer;
  if (!options.ca_file.empty() && ::access(options.ca_file.c_str(), R_OK) != 0)
    return tl::unexpected(system_error(Errc::usage_option, "--ca-cert: reading " + options.ca_file,
                                       errno, "name a readable PEM file with CA certificates"));
  transfer.ca_file = options.ca_file;
  transfer.tls_insecure = options.tls_insecure;
  transfer.proxy = options.proxy;
  transfer.no_proxy = options.no_proxy;
  transfer.platform = options.platform;
  transfer.user = options.user;
  if (!options.password_file.empty()) {
    INGOT_TRY_ASSIGN(transfer.password, read_secret(options.password_file, "--password-file"));
  }
  transfer.connect_timeout = options.connect_timeout;
  transfer.stall_timeout = options.stall_timeout;
  transfer.retry_deadline = options.retry_deadline;
  return transfer;
}

}  // namespace ingot::agent
