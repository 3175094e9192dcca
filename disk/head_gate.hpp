/// HeadGate: holds extents back until the image's head has come and its partition table was judged,
/// so that what is refused leaves the target as it was.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"
#include "disk/core/units.hpp"

namespace ingot::disk {

/// What the gate's owner does when it opens, with the gate held: first the one, then the others for
/// everything that waited.
struct GateActions {
  std::function<Result<void>()> open;
  std::function<Result<void>(std::uint64_t from, Slice data)> write;
  std::function<Result<void>(std::uint64_t from, std::uint64_t to)> zero;
};

/// Opens once: when the head is whole, or when no more can wait. Holes wait at the cost of two
/// numbers each, data in one buffer. When that is full, whoever comes next waits himself for a
/// while: among several decoding threads the one that has the head may just be late.
///
/// Threads  any; an extent is either passed on by its own thread, or by the one that opens.
/// Memory   kMostData, and kMostHoles times 16 bytes.
/// Errors   the first of the actions', for everybody who comes then; cancelled.
class HeadGate {
 public:
  static constexpr std::size_t kMostData = 4 * MiB;
  static constexpr std::size_t kMostPieces = 4096;  ///< of data
  static constexpr std::size_t kMostHoles = 256 * 1024;

  /// `patience`: how long somebody waits for the head when nothing more can be held back.
  HeadGate(GateActions actions, std::stop_token stop,
           std::chrono::milliseconds patience = std::chrono::seconds(3))
      : actions_(std::move(actions)), stop_(std::move(stop)), patience_(patience) {}

  [[nodiscard]] bool opened() const noexcept { return opened_.load(std::memory_order_acquire); }

  /// Whether [from, to) outside the head may be dealt with now, by the caller; `data` is null for
  /// zeros. False: it is held back.
  Result<bool> pass(std::uint64_t from, std::uint64_t to, const std::byte* data);
  /// `length` more bytes of the head are there, of `whole`: opens when that is all of it.
  Result<void> head_came(std::uint64_t length, std::uint64_t whole);
  /// Opens, whatever has come.
  Result<void> open_now();
  /// Bytes of the head that have come. With the gate held, or when nobody writes any more.
  [[nodiscard]] std::uint64_t head_seen() const noexcept { return head_seen_; }

 private:
  struct Hole {
    std::uint64_t from, to;
  };
  struct Piece {
    std::uint64_t from;
    Slice data;
  };

  bool hold(std::uint64_t from, std::uint64_t to, const std::byte* data);
  Result<void> open();

  const GateActions actions_;
  const std::stop_token stop_;
  const std::chrono::milliseconds patience_;
  std::atomic<bool> opened_{false};
  std::mutex mutex_;  // everything below
  std::condition_variable_any changed_;
  std::optional<Error> failure_;
  std::uint64_t head_seen_ = 0;
  std::vector<Hole> holes_;
  std::vector<Piece> pieces_;
  BufferPool pool_{kMostData, 1};
  BufferRef buffer_;
  std::size_t used_ = 0;
};

}  // namespace ingot::disk
