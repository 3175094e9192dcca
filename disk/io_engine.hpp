/// IoEngine: aligned writes to one target, many at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "disk/claim.hpp"
#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"

namespace ingot::disk {

/// A request that the device has not answered yet.
struct PendingRequest {
  std::uint64_t offset;  ///< bytes
  std::chrono::steady_clock::time_point since;
};

/// Takes writes and finishes them in any order.
///
/// Threads  submit() by any number; drain() by one after the last submit(); oldest() and give_up()
///          by any; each engine owns the threads it needs and stops them in its destructor.
/// Errors   reported once through `failed`, on the engine's thread, with path and byte offset;
///          what is in flight is still waited for, what is new is refused.
class IoEngine {
 public:
  /// What an engine is told about its target and its owner.
  struct Config {
    std::shared_ptr<const Claim> target;
    unsigned queue_depth;  ///< writes in flight at most
    std::stop_token stop;  ///< ends waiting in submit()
    std::function<void(std::uint64_t bytes)> written;
    std::function<void(Error)> failed;
  };

  virtual ~IoEngine() = default;
  /// Writes `data` at `offset` (bytes, both aligned as the descriptor needs it). Waits while the
  /// queue is full. Errors: cancelled once stop is requested.
  [[nodiscard]] virtual Result<void> submit(std::uint64_t offset, Slice data) = 0;
  /// Waits until nothing is in flight, or the engine was given up.
  virtual void drain() = 0;
  /// The request that has been with the device for longest.
  [[nodiscard]] virtual std::optional<PendingRequest> oldest() = 0;
  /// The device hangs: neither drain() nor the destructor waits for it any more. A request that the
  /// kernel still has keeps the target claimed until it comes back.
  virtual void give_up() = 0;
};

/// io_uring (kernel 5.11 or later, not disabled). Nothing when the kernel will not have it.
std::unique_ptr<IoEngine> make_uring_engine(IoEngine::Config config);

/// A pool of threads with pwrite(2); works everywhere.
std::unique_ptr<IoEngine> make_pwrite_engine(IoEngine::Config config);

/// write.io for a write at `offset` of `path`, with what to try.
Error write_error(const std::string& path, std::uint64_t offset, int errno_value);

}  // namespace ingot::disk
