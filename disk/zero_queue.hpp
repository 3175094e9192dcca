/// ZeroQueue: ranges to be zeroed, merged while they wait, worked off by one thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

#include "disk/claim.hpp"
#include "disk/core/error.hpp"
#include "disk/zeroing.hpp"

namespace ingot::disk {

/// An image's holes come in pieces, one L2 table at a time: the longest stretch is zeroed first, so
/// that the others have time to grow together.
///
/// Threads  add() by any number, drain() by one; owns the zeroing thread.
/// Memory   kMaxRanges ranges; add() waits when there are more.
class ZeroQueue {
 public:
  /// `target` outlives the queue. `zeroed` and `failed` are called on the queue's thread.
  ZeroQueue(const Claim& target, std::stop_token stop, std::function<void(std::uint64_t)> zeroed,
            std::function<void(Error)> failed);
  ~ZeroQueue();
  ZeroQueue(const ZeroQueue&) = delete;
  ZeroQueue& operator=(const ZeroQueue&) = delete;

  /// Bytes, aligned as Zeroing needs it; ranges never overlap. Errors: cancelled.
  Result<void> add(std::uint64_t offset, std::uint64_t length);
  /// Waits until all is zeroed, or the job is stopped.
  void drain();

 private:
  static constexpr std::size_t kMaxRanges = 4096;

  void run();

  const Claim& target_;
  const std::stop_token stop_;
  const std::function<void(std::uint64_t)> zeroed_;
  const std::function<void(Error)> failed_;
  Zeroing zeroing_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::uint64_t, std::uint64_t> ranges_;  // offset → length, neighbours merged
  bool busy_ = false;
  bool closed_ = false;
  std::jthread thread_;
};

}  // namespace ingot::disk
