/// ProgressView: the job's counters as people and events show them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/report/rate_meter.hpp"
#include "disk/core/progress.hpp"

namespace ingot::agent {

/// "connect", "write", "flush", "verify", "commit", "config-drive", "done".
[[nodiscard]] std::string_view name(Phase phase) noexcept;

/// One look at a job. All sizes in bytes.
struct ProgressSnapshot {
  Phase phase = Phase::connect;
  std::uint64_t received = 0;                 ///< of the image file, as served
  std::optional<std::uint64_t> expected;      ///< of the image file
  std::uint64_t written = 0;                  ///< data, to the target
  std::uint64_t zeroed = 0;                   ///< zeros, on the target
  std::uint64_t verified = 0;                 ///< of the target, read and compared
  std::optional<std::uint64_t> virtual_size;  ///< of the decoded disk
  std::optional<double> percent;              ///< 0 to 100; 100 only when done
  double receive_rate = 0, write_rate = 0;    ///< bytes a second, over some seconds
  std::optional<std::chrono::seconds> eta;    ///< of the transfer
};

/// "12 s left", "3:07 min left".
[[nodiscard]] std::string time_left(std::chrono::seconds eta);

/// A snapshot as one sentence for people who see no bar: "Writing /dev/sda: 42 %, 310.0 MiB/s, 12 s
/// left". `device` may be "", where none is chosen yet; `erase`: the job writes nothing but zeros.
[[nodiscard]] std::string sentence(const ProgressSnapshot& progress, std::string_view device,
                                   bool erase);

/// Takes snapshots in which no number goes back, whatever the counters do: a transfer that has to
/// start over counts again what was counted before.
///
/// Percent  of the file's bytes where its length is known, else of the disk's. What comes after the
///          transfer (placing, flushing, committing) takes its time as well, so it stays at 99
///          until the phase is done.
/// Threads  one.
class ProgressView {
 public:
  ProgressSnapshot look(const ProgressCounters& counters, Phase phase, RateMeter::Time now);

 private:
  ProgressSnapshot last_;
  RateMeter received_, written_;
};

}  // namespace ingot::agent
