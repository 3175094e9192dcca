#include "imaging/block_feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ingot::imaging {
namespace {

Error cancelled() {
  return {Errc::cancelled, "receiving the image: cancelled"};
}

}  // namespace

BlockFeed::BlockFeed(std::size_t blocks, PrefixDigest prefix, ProgressCounters& counters,
                     std::stop_token stop)
    : prefix_(std::move(prefix)),
      counters_(counters),
      stop_(std::move(stop)),
      pool_(kStreamBlock, std::max<std::size_t>(blocks, 2)) {}

tl::expected<std::span<std::byte>, TransferFailure> BlockFeed::writable() {
  if (stop_.stop_requested()) return give_up(cancelled());
  if (!block_) {
    block_ = pool_.try_acquire();
    if (!block_) {
      auto block = pool_.acquire(stop_);
      if (!block) return give_up(block.error());
      block_ = *std::move(block);
      last_progress_ = Clock::now();
    }
  }
  if (!proof_) return block_.bytes().subspan(filled_);
  // What only gets hashed needs no place to stay.
  const std::uint64_t left = delivered_ - proof_->hashed;
  return block_.bytes().first(
      static_cast<std::size_t>(std::min<std::uint64_t>(left, kStreamBlock)));
}

Attempt BlockFeed::advance(std::size_t n) {
  if (proof_) return advance_proof(n);
  filled_ += n;
  if (const std::uint64_t reached = delivered_ + filled_; reached > high_water_) {
    counters_.bytes_received.fetch_add(reached - high_water_, std::memory_order_relaxed);
    high_water_ = reached;
    last_progress_ = Clock::now();
  }
  if (filled_ == kStreamBlock) deliver();
  return {};
}

Attempt BlockFeed::advance_proof(std::size_t n) {
  proof_->hasher.update(block_.bytes().first(n));
  proof_->hashed += n;
  if (proof_->hashed < delivered_) return {};
  const Digest actual = proof_->hasher.snapshot();
  const Proof proof = *std::move(proof_);
  proof_.reset();
  if (actual == proof.expected) return {};
  return give_up_mirror(
      Error(Errc::source_changed,
            fmt::format("{}: the transfer had to start over, and the first {} bytes are no longer "
                        "the ones that were received before ({} {}, was {})",
                        proof.what, delivered_, name(actual.type), actual.hex, proof.expected.hex),
            "the file was replaced on the server during the transfer, or a mirror has another "
            "one; start again"));
}

Attempt BlockFeed::accept(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    auto room = writable();
    if (!room) return tl::unexpected(std::move(room).error());
    const std::size_t n = std::min(room->size(), bytes.size());
    std::memcpy(room->data(), bytes.data(), n);
    if (auto taken = advance(n); !taken) return taken;
    bytes = bytes.subspan(n);
  }
  return {};
}

Attempt BlockFeed::restart(const std::string& what) {
  filled_ = 0;
  proof_.reset();
  if (delivered_ == 0) return {};
  if (!prefix_)
    return give_up(Error(Errc::source_truncated,
                         what + ": the transfer broke and cannot be resumed on this server"));
  const auto before = Clock::now();
  {
    // Only what the reader has taken can have been hashed. Waited for here, where the end of the
    // stream ends the wait.
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop_, [this] { return queue_.empty(); })) return give_up(cancelled());
  }
  auto expected = prefix_(delivered_);
  if (!expected) return give_up(expected.error());
  const DigestType type = expected->type;
  proof_.emplace(Proof{*std::move(expected), Hasher(type), 0, what});
  last_progress_ += Clock::now() - before;
  return {};
}

void BlockFeed::deliver() {
  const auto bytes = block_.bytes().first(filled_);
  Slice slice(std::move(block_), bytes);
  block_ = {};
  delivered_ += filled_;
  filled_ = 0;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(slice));
  }
  changed_.notify_all();
}

void BlockFeed::finish() {
  if (filled_ > 0) deliver();
  block_ = {};
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

void BlockFeed::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    ended_ = true;
  }
  changed_.notify_all();
}

std::uint64_t BlockFeed::position() const noexcept {
  return proof_ ? proof_->hashed : delivered_ + filled_;
}

Result<Slice> BlockFeed::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_, [this] { return ended_ || !queue_.empty(); });
  if (stop_.stop_requested()) return tl::unexpected(cancelled());
  if (queue_.empty()) {
    if (error_) return tl::unexpected(*error_);
    return Slice();
  }
  Slice slice = std::move(queue_.front());
  queue_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return slice;
}

}  // namespace ingot::imaging
