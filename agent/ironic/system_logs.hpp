/// The logs of this machine, for whoever has to find out later why something failed.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

struct SystemLogOptions {
  std::string own_log{};               ///< what ingot itself has logged
  std::vector<std::string> secrets{};  ///< to be hidden; see redact_log()
  std::size_t journal_lines = 0;       ///< the last ones of this boot; 0: all
  std::filesystem::path proc = "/proc";
  std::filesystem::path run = "/run";  ///< says whether systemd is running
  std::filesystem::path sysfs = "/sys";
  std::filesystem::path var_log = "/var/log";  ///< where systemd does not log
  std::chrono::milliseconds program_time{5'000};
  std::chrono::milliseconds whole_time{40'000};  ///< the conductor waits 60 s
  std::size_t member_limit = 4UL << 20;          ///< bytes, uncompressed
  std::size_t whole_limit = 32UL << 20;          ///< bytes, uncompressed
};

/// A tar.gz of the journal (or of /var/log), the kernel's log, what programs say of disks, network
/// and processes, and `own_log`; without the secrets. A program that is not there is left out, one
/// that fails or takes too long is there with what it said. The member "not-collected" names those,
/// and what did not fit.
///
/// Memory   a few times `member_limit`, and the compressed whole.
/// Errors   cancelled; internal.bug if nothing can be compressed.
Result<std::string> collect_system_logs(const SystemLogOptions& options,
                                        const std::stop_token& stop);

}  // namespace ingot::agent
