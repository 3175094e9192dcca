/// ZeroQueue: ranges to be zeroed, merged while they wait, worked off by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "disk/claim.hpp"
#include "disk/core/error.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {

/// An image's holes come in pieces, one L2 table at a time: the longest stretch is zeroed first, so
/// that the others have time to grow together.
///
/// Threads  add() by any number, drain() and cancel() by one, oldest() and give_up() by any; owns
/// the zeroing
///          thread.
/// Memory   4096 ranges; add() waits when there are more.
class ZeroQueue {
 public:
  /// `zeroed` and `failed` are called on the queue's thread.
  ZeroQueue(std::shared_ptr<const Claim> target, std::stop_token stop,
            std::function<void(std::uint64_t)> zeroed, std::function<void(Error)> failed);
  ~ZeroQueue();
  ZeroQueue(const ZeroQueue&) = delete;
  ZeroQueue& operator=(const ZeroQueue&) = delete;

  /// Bytes, aligned as Zeroing needs it; ranges never overlap. Errors: cancelled.
  Result<void> add(std::uint64_t offset, std::uint64_t length);
  /// Waits until all is zeroed, or the job is stopped, or the queue was given up.
  void drain();
  /// Drops what is waiting, and waits for the request that the device has, or for give_up().
  void cancel();
  /// The request that the device has at the moment.
  [[nodiscard]] std::optional<PendingRequest> oldest();
  /// The device hangs: as IoEngine::give_up().
  void give_up();

 private:
  class Work;
  std::shared_ptr<Work> work_;
  std::jthread thread_;
};

}  // namespace ingot::disk
