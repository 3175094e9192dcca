/// BlockFeed: received bytes become slices in a bounded queue, and what was delivered once is never
/// delivered again, nor contradicted.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "disk/core/buffer.hpp"
#include "disk/core/progress.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/digest.hpp"
#include "imaging/source.hpp"
#include "imaging/transfer_failure.hpp"

namespace ingot::imaging {

/// Between the transfer's thread, which fills it, and the stream's reader, which empties it.
///
/// Shape    slices of kStreamBlock in file order, the last one shorter, then an end or an error.
/// Restart  a transfer that starts over calls restart(): the block being filled is dropped, and the
///          next delivered() bytes are only hashed. Their digest must be the one the reader's side
///          has of what it got; until then nothing new is delivered.
/// Threads  one fills, one reads. Filling waits for a free block, that is for the reader.
/// Memory   `blocks` blocks of kStreamBlock.
class BlockFeed {
 public:
  using Clock = std::chrono::steady_clock;

  /// `counters` outlives the feed; its bytes_received counts each byte of the file once.
  BlockFeed(std::size_t blocks, PrefixDigest prefix, ProgressCounters& counters,
            std::stop_token stop);

  // The filling side.

  /// Room for the next bytes of the transfer; never empty. Failures: final when stopped.
  tl::expected<std::span<std::byte>, TransferFailure> writable();
  /// `n` bytes of writable()'s room were filled. Fails when they complete a prefix that differs.
  Attempt advance(std::size_t n);
  /// Copies `bytes`: writable() and advance() as often as it takes.
  Attempt accept(std::span<const std::byte> bytes);
  /// The next byte will be the file's first. Waits until the reader has taken all that was
  /// delivered, if anything was.
  Attempt restart(const std::string& what);
  /// The transfer broke while it was being compared: what it sent does not count.
  void abandon_restart() { proof_.reset(); }
  /// No more bytes; the last block is delivered. An error is delivered behind the blocks.
  void finish();
  void fail(Error error);

  /// File offset (bytes) of the next byte to fill: where a resumed transfer has to go on. During a
  /// restart it runs from 0 again.
  [[nodiscard]] std::uint64_t position() const noexcept;
  /// True while a restarted transfer has not reached what was delivered.
  [[nodiscard]] bool proving() const noexcept { return proof_.has_value(); }
  /// Bytes of the file that came at least once.
  [[nodiscard]] std::uint64_t high_water() const noexcept { return high_water_; }
  /// When the last new byte came; time that was spent waiting for the reader does not pass.
  [[nodiscard]] Clock::time_point last_progress() const noexcept { return last_progress_; }

  // The reading side.

  Result<Slice> next();

 private:
  struct Proof {
    Digest expected;
    Hasher hasher;
    std::uint64_t hashed = 0;
    std::string what;
  };

  Attempt advance_proof(std::size_t n);
  void deliver();

  const PrefixDigest prefix_;
  ProgressCounters& counters_;
  const std::stop_token stop_;
  BufferPool pool_;

  // The filling side's.
  BufferRef block_;
  std::size_t filled_ = 0;       // of block_
  std::uint64_t delivered_ = 0;  // always whole blocks until finish()
  std::uint64_t high_water_ = 0;
  Clock::time_point last_progress_ = Clock::now();
  std::optional<Proof> proof_;

  std::mutex mutex_;  // for all below
  std::condition_variable_any changed_;
  std::deque<Slice> queue_;  // bounded by the pool
  bool ended_ = false;
  std::optional<Error> error_;
};

}  // namespace ingot::imaging
