/// Pooled, aligned, reference-counted buffers: the only memory image bytes travel in.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>

#include "disk/core/error.hpp"

namespace ingot {

/// Alignment of every pooled buffer: enough for O_DIRECT on 512 and 4096 byte sectors.
inline constexpr std::size_t kBufferAlignment = 4096;

namespace detail {
struct PoolState;
struct Block {
  std::byte* data = nullptr;
  std::atomic<int> references{0};
  std::shared_ptr<PoolState> pool;  // set while handed out, so that a block may outlive its pool
};
}  // namespace detail

/// A counted reference to one pool block. The block returns to its pool with the last reference.
class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(const BufferRef& other) noexcept;
  BufferRef(BufferRef&& other) noexcept;
  BufferRef& operator=(BufferRef other) noexcept;
  ~BufferRef();

  explicit operator bool() const noexcept { return block_ != nullptr; }
  /// The whole block, writable. Only its first holder writes, and only before sharing it.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept;

 private:
  friend class BufferPool;
  explicit BufferRef(detail::Block* block) noexcept : block_(block) {}
  detail::Block* block_ = nullptr;
};

/// An immutable view of part of a buffer, which it keeps alive. Cheap to copy. An empty slice ends
/// a stream.
class Slice {
 public:
  Slice() = default;
  /// `bytes` must lie inside `owner`'s block.
  Slice(BufferRef owner, std::span<const std::byte> bytes) noexcept
      : owner_(std::move(owner)), bytes_(bytes) {}

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  /// The part from `offset` on, `length` bytes of it at most.
  [[nodiscard]] Slice sub(std::size_t offset, std::size_t length = SIZE_MAX) const noexcept {
    const auto from = std::min(offset, bytes_.size());
    return {owner_, bytes_.subspan(from, std::min(length, bytes_.size() - from))};
  }

 private:
  BufferRef owner_;
  std::span<const std::byte> bytes_;
};

/// A fixed number of equally large aligned blocks. Back-pressure is its business: acquire() waits
/// until a block comes back, so whoever fills buffers can never run ahead of whoever empties them.
///
/// Threads  acquire() and the release of references may happen on any thread.
/// Memory   `count * block_size` bytes at most; a block's pages are taken when it is first used.
class BufferPool {
 public:
  /// `block_size` is a multiple of kBufferAlignment.
  BufferPool(std::size_t block_size, std::size_t count);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// A free block; waits for one. Errors: Errc::cancelled once `stop` is requested.
  [[nodiscard]] Result<BufferRef> acquire(std::stop_token stop);
  /// A free block, or an empty reference when all are in use.
  [[nodiscard]] BufferRef try_acquire();
  [[nodiscard]] std::size_t block_size() const noexcept;

 private:
  std::shared_ptr<detail::PoolState> state_;
};

}  // namespace ingot
