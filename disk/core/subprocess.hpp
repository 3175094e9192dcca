/// Runs one program to its end, confined and bounded: the only way this project starts another one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot {

/// What may be run, and how much of the machine it gets. No shell is involved anywhere.
struct SubprocessRequest {
  std::vector<std::string> argv;  ///< argv[0] is the absolute path of the program
  /// Descriptors the program gets, as numbers 3, 4, … in this order. They stay the caller's.
  /// Besides them it has /dev/null as standard input, and pipes as standard output and error.
  std::vector<int> inherit;
  std::chrono::milliseconds timeout{60'000};  ///< then it is killed
  std::size_t output_limit = 64 * 1024;       ///< bytes kept of each of stdout and stderr
  std::uint64_t address_space = 1ULL << 30;   ///< RLIMIT_AS, bytes
  std::uint64_t cpu_seconds = 3600;           ///< RLIMIT_CPU
  std::uint64_t open_files = 64;              ///< RLIMIT_NOFILE
  std::uint64_t file_size = 0;                ///< RLIMIT_FSIZE, bytes: 0 writes no file at all
  /// As root: becomes nobody (65534), with no groups, before the program starts.
  bool drop_privileges = true;
  /// As root: an empty network namespace (not even a loopback), where the kernel has those.
  bool isolate_network = true;
  Errc error_code = Errc::internal_bug;  ///< of what goes wrong with starting it
};

/// How it ended. Only `exited` with status 0 is success.
struct SubprocessOutcome {
  enum class End { exited, signalled, timed_out };
  End end = End::exited;
  int status = 0;  ///< exit status, or the signal's number
  std::string out, err;
  bool output_truncated = false;
  std::uint64_t peak_rss = 0;  ///< bytes; includes the moment between fork and exec

  [[nodiscard]] bool ok() const noexcept { return end == End::exited && status == 0; }
  /// "exit status 1", "killed by signal 9", "no end within the time limit".
  [[nodiscard]] std::string describe_end() const;
};

/// Runs the program and waits for it, at most `timeout` long.
///
/// Confined  environment PATH and LC_ALL=C only, working directory "/", no core dumps,
///           no_new_privs, a session of its own, every other descriptor closed. It dies with the
///           calling thread (PR_SET_PDEATHSIG), which waits here anyway.
/// Ends      always reaped: on a time-out or when `stop` is requested its process group is killed
///           first.
/// Errors    `error_code` when it cannot be started, Errc::cancelled. How the program itself ended
///           is no error here.
/// Why not Boost.Process: 1.81 closes foreign descriptors by reading a directory between fork and
///           exec (not async-signal-safe, and other threads hold malloc's locks at any time), its
///           timed wait is built on SIGCHLD, and it has no pidfd.
Result<SubprocessOutcome> run_subprocess(const SubprocessRequest& request, std::stop_token stop);

/// The absolute path of the program called `name` on $PATH (or the system's usual directories when
/// that is not set), or nothing.
std::optional<std::string> find_program(std::string_view name);

}  // namespace ingot
