/// The first failure of a job made of several threads. It stops all the others and is the one that
/// is reported.
#pragma once

#include <mutex>
#include <optional>
#include <stop_token>

#include "disk/core/error.hpp"

namespace ingot {

/// Owns the job's stop source. Any thread may report, any thread may ask.
class FirstError {
 public:
  [[nodiscard]] std::stop_token token() const noexcept { return stop_.get_token(); }

  /// Keeps `error` if it is the first, and requests stop in any case. A later error is dropped: it
  /// is nearly always the echo (cancelled, queue closed) of the first.
  void report(Error error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::move(error);
    }
    stop_.request_stop();
  }

  [[nodiscard]] std::optional<Error> get() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

  /// `own` unless an earlier error was reported, which then explains it.
  [[nodiscard]] Error or_else(Error own) const { return get().value_or(std::move(own)); }

 private:
  mutable std::mutex mutex_;
  std::optional<Error> error_;
  std::stop_source stop_;
};

}  // namespace ingot
