#include "disk/core/bounded_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace ingot {
namespace {

using namespace std::chrono_literals;

TEST(BoundedQueue, KeepsOrderAndMovesItems) {
  BoundedQueue<std::unique_ptr<int>> queue(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(std::make_unique<int>(i), {}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(**queue.pop({}), i);
}

TEST(BoundedQueue, CloseDrainsAndThenEnds) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.push(1, {}));
  queue.close();
  EXPECT_FALSE(queue.push(2, {}));
  EXPECT_EQ(queue.pop({}), 1);
  EXPECT_EQ(queue.pop({}), std::nullopt);
}

TEST(BoundedQueue, AFullOneMakesTheProducerWait) {
  BoundedQueue<int> queue(2);
  std::atomic<int> pushed{0};
  std::jthread producer([&] {
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(queue.push(i, {}));
      ++pushed;
    }
    queue.close();
  });
  while (pushed < 2) std::this_thread::yield();
  std::this_thread::sleep_for(20ms);  // would be enough to push the third
  EXPECT_EQ(pushed, 2);
  int expected = 0;
  while (const auto item = queue.pop({})) EXPECT_EQ(*item, expected++);
  EXPECT_EQ(expected, 10);
}

TEST(BoundedQueue, CloseWakesAWaitingProducerAndConsumer) {
  BoundedQueue<int> full(1), empty(1);
  EXPECT_TRUE(full.push(1, {}));
  std::jthread producer([&] { EXPECT_FALSE(full.push(2, {})); });
  std::jthread consumer([&] { EXPECT_EQ(empty.pop({}), std::nullopt); });
  std::this_thread::sleep_for(10ms);
  full.close();
  empty.close();
}

TEST(BoundedQueue, StopWakesAWaitingProducerAndConsumer) {
  BoundedQueue<int> full(1), empty(1);
  EXPECT_TRUE(full.push(1, {}));
  std::stop_source stop;
  std::jthread producer([&] { EXPECT_FALSE(full.push(2, stop.get_token())); });
  std::jthread consumer([&] { EXPECT_EQ(empty.pop(stop.get_token()), std::nullopt); });
  std::this_thread::sleep_for(10ms);
  stop.request_stop();
}

TEST(BoundedQueue, EveryItemArrivesOnceAmongManyThreads) {
  BoundedQueue<int> queue(4);
  constexpr int kEach = 500;
  std::atomic<long> sum{0};
  std::atomic<int> count{0};
  {
    std::vector<std::jthread> consumers;
    for (int i = 0; i < 3; ++i)
      consumers.emplace_back([&] {
        while (const auto item = queue.pop({})) {
          sum += *item;
          ++count;
        }
      });
    {
      std::vector<std::jthread> producers;
      for (int i = 0; i < 3; ++i)
        producers.emplace_back([&, i] {
          for (int k = 0; k < kEach; ++k) EXPECT_TRUE(queue.push(i * kEach + k, {}));
        });
    }
    queue.close();
  }
  EXPECT_EQ(count, 3 * kEach);
  EXPECT_EQ(sum, 3L * kEach * (3 * kEach - 1) / 2);
}

}  // namespace
}  // namespace ingot
