/// RetryPlan: after a failed attempt, which mirror is asked next and when, or that it is over.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <vector>

#include "disk/core/error.hpp"
#include "imaging/source.hpp"
#include "imaging/transfer_failure.hpp"

namespace ingot::imaging {

/// The rules, without clocks or threads of their own:
///   - a mirror that brought new bytes and then broke is asked first again, since it can resume;
///   - else the next usable one, round; back-off only once all usable ones failed in turn;
///   - back-off doubles from backoff_first to backoff_max, times a random factor of 0.5 to 1, and
///     is at least what the server asked for (Retry-After), but never past the deadline;
///   - a mirror whose name does not exist is out after unknown_name_patience, unless it has brought
///     bytes before;
///   - a mirror with a permanent failure is out; when all are, its error is the result
///     (source.changed before others, then the most preferred mirror's);
///   - the deadline counts from the last new byte: source.deadline, with the last cause.
/// One thread at a time.
class RetryPlan {
 public:
  using Clock = std::chrono::steady_clock;

  RetryPlan(std::size_t mirrors, const TransferOptions& options, unsigned seed);

  struct Next {
    std::size_t mirror = 0;
    std::chrono::milliseconds delay{0};
    std::chrono::milliseconds left{0};  ///< for how long it goes on, from now
    bool until_deadline = true;         ///< that is up to the deadline
  };
  /// `failed` is the attempt at mirror(); `progressed` whether it brought new bytes.
  Result<Next> after(const TransferFailure& failed, bool progressed, Clock::time_point now,
                     Clock::time_point last_progress);
  /// The one that is being asked.
  [[nodiscard]] std::size_t mirror() const noexcept { return mirror_; }
  /// Retries so far.
  [[nodiscard]] int attempts() const noexcept { return attempts_; }

 private:
  [[nodiscard]] std::optional<std::size_t> next_usable() const;
  [[nodiscard]] std::size_t usable() const;
  [[nodiscard]] Error final_error() const;
  [[nodiscard]] std::optional<std::chrono::milliseconds> unknown_for(const TransferFailure& failed,
                                                                     bool progressed,
                                                                     Clock::time_point now);
  std::chrono::milliseconds backoff();

  struct Name {
    bool proven = false;                             // bytes came from there
    std::optional<Clock::time_point> unknown_since;  // without a break
  };

  const std::chrono::milliseconds deadline_, first_, max_, name_patience_;
  std::vector<std::optional<Error>> out_;  // by mirror: why it is out
  std::vector<Name> names_;                // by mirror
  std::size_t mirror_ = 0;
  std::size_t failed_in_turn_ = 0;  // since the last new byte or back-off
  int doublings_ = 0;
  int attempts_ = 0;
  std::minstd_rand random_;
};

}  // namespace ingot::imaging
