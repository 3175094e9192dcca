#include "disk/core/buffer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace ingot {
namespace {

using namespace std::chrono_literals;

// Takes all blocks of a pool, fills each, and looks at what each then holds. Returns the lowest.
std::byte* fill_all(std::size_t size, int count) {
  BufferPool pool(size, static_cast<std::size_t>(count));
  EXPECT_EQ(pool.block_size(), size);
  std::vector<BufferRef> held;
  std::set<std::byte*> places;
  for (int i = 0; i < count; ++i) {
    BufferRef block = pool.try_acquire();
    EXPECT_TRUE(block);
    if (!block) return nullptr;
    EXPECT_EQ(block.bytes().size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.bytes().data()) % kBufferAlignment, 0U);
    std::memset(block.bytes().data(), i, size);
    places.insert(block.bytes().data());
    held.push_back(std::move(block));
  }
  EXPECT_FALSE(pool.try_acquire());
  EXPECT_EQ(places.size(), static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(held[i].bytes().front(), std::byte(i));
    EXPECT_EQ(held[i].bytes().back(), std::byte(i));
  }
  return *places.begin();
}

TEST(BufferPool, BlocksAreAlignedDistinctAndAsLargeAsSaid) {
  fill_all(8192, 4);
}

TEST(BufferPool, LargePoolsBeginWithAHugePage) {
  constexpr std::size_t kHuge = 2 * 1024 * 1024;
  for (const int count : {4, 5, 18})  // also with half a huge page at the end
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(fill_all(kHuge / 2, count)) % kHuge, 0U);
}

TEST(BufferPool, ABlockComesBackWithItsLastReference) {
  BufferPool pool(4096, 1);
  BufferRef first = pool.try_acquire();
  ASSERT_TRUE(first);
  BufferRef second = first;
  std::optional<Slice> slice(Slice(first, first.bytes().first(10)));
  first = {};
  EXPECT_FALSE(pool.try_acquire());
  second = BufferRef(std::move(second));  // moving is not letting go
  EXPECT_FALSE(pool.try_acquire());
  second = {};
  EXPECT_FALSE(pool.try_acquire());
  const Slice part = slice->sub(3);
  slice.reset();
  EXPECT_FALSE(pool.try_acquire());
  EXPECT_EQ(part.size(), 7U);
}

TEST(BufferPool, AssigningABlockToItselfKeepsIt) {
  BufferPool pool(4096, 1);
  BufferRef block = pool.try_acquire();
  auto& same = block;
  block = same;
  EXPECT_TRUE(block);
  EXPECT_FALSE(pool.try_acquire());
  block = {};
  EXPECT_TRUE(pool.try_acquire());
}

TEST(BufferPool, TheBlockLastUsedIsTheFirstReused) {
  BufferPool pool(4096, 8);
  auto* const first = pool.try_acquire().bytes().data();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool.try_acquire().bytes().data(), first);
}

TEST(BufferPool, ABlockOutlivesItsPool) {
  BufferRef block;
  {
    BufferPool pool(4096, 2);
    block = pool.try_acquire();
    std::memset(block.bytes().data(), 0x11, 4096);
  }
  EXPECT_EQ(block.bytes()[4095], std::byte{0x11});
  block = {};  // and is freed with the memory behind it: the sanitizers would tell
}

TEST(BufferPool, AnEmptyOneMakesAcquireWaitUntilABlockIsBack) {
  BufferPool pool(4096, 1);
  BufferRef held = pool.try_acquire();
  std::atomic<bool> got = false;
  std::jthread waiting([&] {
    const auto block = pool.acquire({});
    got = block.has_value();
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(got);
  held = {};
  waiting.join();
  EXPECT_TRUE(got);
}

TEST(BufferPool, StopEndsTheWait) {
  BufferPool pool(4096, 1);
  const BufferRef held = pool.try_acquire();
  std::stop_source stop;
  std::jthread waiting([&] {
    const auto block = pool.acquire(stop.get_token());
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code(), Errc::cancelled);
  });
  std::this_thread::sleep_for(10ms);
  stop.request_stop();
}

// What one thread writes, another must see: the hand-over orders the bytes as well.
TEST(BufferPool, BlocksTravelBetweenThreads) {
  BufferPool pool(4096, 2);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&pool, i] {
      for (int k = 0; k < 500; ++k) {
        auto block = pool.acquire({});
        ASSERT_TRUE(block);
        std::memset(block->bytes().data(), i, 64);
        const Slice slice(*block, block->bytes().first(64));
        std::jthread reader;
        if (k % 100 == 0)
          reader = std::jthread([slice, i] { EXPECT_EQ(slice.bytes()[63], std::byte(i)); });
        EXPECT_EQ(slice.bytes()[0], std::byte(i));
      }
    });
}

TEST(Slice, SubNeverLeavesIt) {
  BufferPool pool(4096, 1);
  const BufferRef block = pool.try_acquire();
  const Slice slice(block, block.bytes().subspan(100, 50));
  EXPECT_EQ(slice.sub(0).size(), 50U);
  EXPECT_EQ(slice.sub(10, 5).size(), 5U);
  EXPECT_EQ(slice.sub(10, 5).bytes().data(), block.bytes().data() + 110);
  EXPECT_EQ(slice.sub(49, 100).size(), 1U);
  EXPECT_TRUE(slice.sub(50).empty());
  EXPECT_TRUE(slice.sub(1000, SIZE_MAX).empty());
  EXPECT_TRUE(Slice().empty());
  EXPECT_TRUE(Slice().sub(5).empty());
}

}  // namespace
}  // namespace ingot
