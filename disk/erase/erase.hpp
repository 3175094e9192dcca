/// Erasing a claimed disk: its signatures, or all of it, or by what it can do to itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/error.hpp"
#include "disk/core/progress.hpp"
#include "disk/erase/survey.hpp"

namespace ingot::disk {

/// How a disk is erased; docs/erase.md says what each guarantees.
enum class EraseMethod {
  metadata,  ///< every signature and table, and both ends, of the disk and of its partitions
  discard,   ///< the device is told that nothing is needed any more; and metadata
  zero,      ///< zeros everywhere, read back at both ends and in samples
  secure,    ///< the disk's own: NVMe format or sanitize, ATA security erase; and metadata
};
[[nodiscard]] std::string_view name(EraseMethod method) noexcept;

/// What became of the target.
enum class EraseState {
  untouched,   ///< nothing was written to it
  unbootable,  ///< erased in part; its first and last MiB are zeros
  unknown,     ///< erased in part, and what is at its ends cannot be told
  erased,      ///< done
};

struct EraseOptions {
  bool dry_run = false;  ///< look at everything, check that the method is there, write nothing
  /// A request that is not answered for this long fails the job. It does not count for what the
  /// disk does by itself (secure), which has limits of its own.
  std::chrono::milliseconds stall_limit{120'000};
};

struct EraseOutcome {
  std::optional<Error> error;  ///< nothing: erased
  EraseState state = EraseState::untouched;
  Survey found;             ///< what was on the target before; nothing is looked for with `zero`
  std::string how;          ///< of `secure`: "NVMe format, cryptographic erase"; else ""
  std::uint64_t bytes = 0;  ///< discarded, zeroed or (secure, metadata) the target's size and 0
};

/// Erases `target`, which nothing else uses, and lets the kernel and udev see that its partitions
/// are gone; nothing may be done with the claim after that. With `dry_run` the claim may be a
/// read-only one.
///
/// `counters`: bytes_zeroed counts what is erased, virtual_size is what there is to erase (not
/// known for metadata). `listener`: phases write, flush, verify, done; notes. Cancel   `stop` ends
/// it between two requests. What a disk does by itself cannot be ended: with
///          `secure` it is waited for.
/// Errors   device.unsupported (before anything is touched) with what to try, write.erase and
///          write.io, write.zero, write.flush, write.readback with path and place, cancelled.
EraseOutcome erase(const Claim& target, EraseMethod method, ProgressCounters& counters,
                   JobListener& listener, std::stop_token stop, const EraseOptions& options = {});

}  // namespace ingot::disk
