/// DigestTap: forwards a stream and hashes what passes, on a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "disk/core/bounded_queue.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/digest.hpp"

namespace ingot::imaging {

/// The digest covers exactly the bytes that next() has handed out, in order, which are the ones
/// that anything was done with.
///
/// Threads  next() and finish() by the reader; prefix() by any other thread; owns the hashing one.
/// Memory   keeps up to kQueued slices alive beyond their reader.
class DigestTap final : public ByteStream {
 public:
  DigestTap(DigestType type, std::stop_token stop);
  ~DigestTap() override;

  /// The stream to forward; outlives the tap's use. To be called once, before next().
  void attach(ByteStream& in) { in_ = &in; }

  Result<Slice> next() override;
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return in_->size(); }
  [[nodiscard]] RangeReader* ranges() override { return in_->ranges(); }

  /// The digest of the first `n` bytes: waits until the reader has taken and the thread has hashed
  /// them. `n` must not be less than what was hashed already. Errors: cancelled.
  Result<Digest> prefix(std::uint64_t n);

  /// The digest of all that next() handed out. Errors: cancelled.
  Result<Digest> finish() { return prefix(taken_); }
  /// Bytes handed out by next() so far; the reader's thread only.
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }

 private:
  static constexpr std::size_t kQueued = 4;

  void run(std::stop_token stop);

  ByteStream* in_ = nullptr;
  const std::stop_token stop_;
  std::uint64_t taken_ = 0;
  BoundedQueue<Slice> queue_{kQueued};
  std::mutex mutex_;  // hasher_, hashed_
  std::condition_variable_any advanced_;
  Hasher hasher_;
  std::uint64_t hashed_ = 0;
  std::jthread thread_;
};

}  // namespace ingot::imaging
