/// A sleep that ends when it is no longer wanted.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace ingot::imaging {

/// Sleeps for `time`; false, at once, when `stop` is requested.
inline bool sleep_unless_stopped(std::chrono::milliseconds time, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace ingot::imaging
