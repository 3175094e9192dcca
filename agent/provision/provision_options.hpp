/// ProvisionOptions: what `ingot provision` is told, by the kernel command line and by its own
/// options, which win.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/job/network.hpp"
#include "agent/job/request.hpp"
#include "agent/machine/power.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// How long failures that may pass by themselves (no network yet, a server that starts) are
/// repeated.
struct RetryPolicy {
  /// From the start; 0: never repeated, nothing: for ever. What no repetition helps (a wrong
  /// checksum, no such disk) ends the program, but with "for ever" it only makes it ask less often,
  /// since the order may be corrected.
  std::optional<std::chrono::milliseconds> limit;
};

/// Holds secrets: never log one whole. "" is "not given" everywhere.
struct ProvisionOptions {
  // The request: at a URL, or itself.
  std::string from;
  std::optional<DeployRequest> order;
  std::string user_data_url, config_drive_url;  ///< of `order`'s config drive

  // What wins over what a request says.
  std::string device, root_device_hints;
  bool device_named_here = false;  ///< `device` may be a regular file: who started us named it
  std::string report_url;          ///< may be relative to the request's URL
  std::optional<OnSuccess> on_success;

  std::string token, token_file;                ///< for the request; a secret, or where it is
  std::string report_token, report_token_file;  ///< for the report
  bool no_checksum_accepted = false;
  std::vector<std::string> only_devices;  ///< no other disk exists; empty: all
  std::vector<std::string> macs;          ///< instead of the machine's own
  NetworkOptions network;
  ResourceOptions resources;

  std::optional<RetryPolicy> retry;  ///< nothing: for ever in a RAM disk, else 5 minutes
  /// Between two tries after an error that stays; nothing: a minute.
  std::optional<std::chrono::milliseconds> recheck;
  std::chrono::milliseconds report_patience{300'000};  ///< for the result, before the machine acts

  bool ram_disk = false;     ///< this system may be switched off, and its disks are nobody's
  bool allow_power = false;  ///< this system may be switched off
  PowerMode power = PowerMode::real;
  bool yes = false;  ///< nobody is asked before a disk is overwritten
  bool dry_run = false;
  std::string run_dir = "/run/ingot";
  std::string sysfs = "/sys";
  std::string kernel_command_line;  ///< for BOOTIF

  bool json = false;       ///< events on standard output
  bool bar = false;        ///< a progress bar on standard error
  bool sentences = false;  ///< how far it is, where standard error is the journal
  /// Asked before a block device is overwritten, unless `yes` or `ram_disk` answers.
  std::function<Result<void>(const std::string& device, const std::stop_token&)> confirm;
  /// Told what is done now, in one sentence; from any thread, at most once a second or so. May be
  /// empty.
  std::function<void(const std::string&)> status;
};

/// Whether options name one request, completely and without contradictions.
/// Errors: usage.option, usage.checksum.
Result<void> check(const ProvisionOptions& options);

}  // namespace ingot::agent
