#include "disk/core/buffer.hpp"

#include <sys/mman.h>

#include <condition_variable>
#include <mutex>
#include <new>
#include <vector>

namespace ingot {
namespace detail {

// One page of this size is pinned for a direct write where 512 small ones would be, one by one.
constexpr std::size_t kHugePage = 2 * 1024 * 1024;

struct PoolState {
  std::size_t block_size;
  std::mutex mutex;
  std::condition_variable_any freed;
  std::vector<Block*> free;
  std::unique_ptr<Block[]> blocks;
  void* map = nullptr;
  std::size_t mapped = 0;
  std::byte* memory = nullptr;  // the first block, which may lie behind the mapping's begin

  PoolState(std::size_t size, std::size_t count)
      : block_size(size), blocks(std::make_unique<Block[]>(count)) {
    // One mapping for all: page-aligned, and nothing is resident before it is written to.
    const std::size_t wanted = size * count;
    const bool huge = wanted >= 2 * kHugePage;
    mapped = huge ? wanted + kHugePage : wanted;
    map = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    memory = static_cast<std::byte*>(map);
    if (huge) {
      memory += (kHugePage - reinterpret_cast<std::uintptr_t>(memory) % kHugePage) % kHugePage;
      ::madvise(memory, wanted, MADV_HUGEPAGE);  // small pages do as well
    }
    free.reserve(count);
    // The last one pushed is the first one used: reuse stays on the fewest, warmest blocks.
    for (std::size_t i = count; i-- > 0;) {
      blocks[i].data = memory + i * size;
      free.push_back(&blocks[i]);
    }
  }
  ~PoolState() { ::munmap(map, mapped); }
  PoolState(const PoolState&) = delete;
  PoolState& operator=(const PoolState&) = delete;

  Block* take(const std::shared_ptr<PoolState>& self) {  // mutex held, free not empty
    Block* block = free.back();
    free.pop_back();
    block->references.store(1, std::memory_order_relaxed);
    block->pool = self;
    return block;
  }
  void put(Block* block) {
    {
      const std::lock_guard lock(mutex);
      free.push_back(block);
    }
    freed.notify_one();
  }
};

}  // namespace detail

BufferRef::BufferRef(const BufferRef& other) noexcept : block_(other.block_) {
  if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
}
BufferRef::BufferRef(BufferRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
BufferRef& BufferRef::operator=(BufferRef other) noexcept {
  std::swap(block_, other.block_);
  return *this;
}
BufferRef::~BufferRef() {
  if (block_ == nullptr || block_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const auto pool = std::move(block_->pool);  // keeps the memory alive until the block is back
  pool->put(block_);
}
std::span<std::byte> BufferRef::bytes() const noexcept {
  return {block_->data, block_->pool->block_size};
}

BufferPool::BufferPool(std::size_t block_size, std::size_t count)
    : state_(std::make_shared<detail::PoolState>(block_size, count)) {}
BufferPool::~BufferPool() = default;

Result<BufferRef> BufferPool::acquire(std::stop_token stop) {
  std::unique_lock lock(state_->mutex);
  if (!state_->freed.wait(lock, std::move(stop), [this] { return !state_->free.empty(); }))
    return fail(Errc::cancelled, "waiting for a free buffer: cancelled");
  return BufferRef(state_->take(state_));
}

BufferRef BufferPool::try_acquire() {
  const std::lock_guard lock(state_->mutex);
  if (state_->free.empty()) return {};
  return BufferRef(state_->take(state_));
}

std::size_t BufferPool::block_size() const noexcept {
  return state_->block_size;
}

}  // namespace ingot
