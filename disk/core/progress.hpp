/// How far a job is: counters that any stage adds to and any reporter reads, and the few things
/// that are events rather than numbers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace ingot {

/// In the order a deployment goes through them; the text form is in cli.md's `phase` event.
enum class Phase { connect, write, flush, verify, config_drive, commit, done };

/// Bytes, all of them monotonic. `-1` in `bytes_expected` and `virtual_size` means not known.
struct ProgressCounters {
  std::atomic<std::uint64_t> bytes_received{0};  ///< of the image file, as served
  std::atomic<std::int64_t> bytes_expected{-1};  ///< of the image file
  std::atomic<std::int64_t> virtual_size{-1};    ///< of the decoded disk
  std::atomic<std::uint64_t> bytes_written{0};   ///< to the target, data
  std::atomic<std::uint64_t> bytes_zeroed{0};    ///< on the target, zeroes
  std::atomic<std::uint64_t> bytes_verified{0};  ///< of the target, read back and compared
};

/// Told about what is not a number. Called from any thread; must not block for long.
class JobListener {
 public:
  virtual ~JobListener() = default;
  virtual void on_phase(Phase phase) = 0;
  /// Just before the on_retry() of the first attempt since the last new byte that brought none: it
  /// is tried again for `left`, which is up to the retry deadline or less.
  virtual void on_stall(std::chrono::milliseconds /*left*/, bool /*until_deadline*/) {}
  /// A transfer failed and goes on: attempt counts from 1, `resume_offset` is in file bytes.
  virtual void on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) = 0;
  /// Something the user should know that is no error ("the server offers no ranges").
  virtual void on_note(const std::string& text) = 0;
};

}  // namespace ingot
