// HeadGate: what waits, for how long, and what opens it.
#include "disk/head_gate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace ingot::disk {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// A gate that notes what it does.
class Gate : public testing::Test {
 protected:
  GateActions actions() {
    return {[this]() -> Result<void> {
              ++opened;
              if (refuses) return fail(Errc::device_too_small, "refused");
              return {};
            },
            [this](std::uint64_t from, Slice piece) -> Result<void> {
              written.emplace_back(from, piece.size());
              return {};
            },
            [this](std::uint64_t from, std::uint64_t to) -> Result<void> {
              zeroed.emplace_back(from, to);
              return {};
            }};
  }
  using Stretches = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  const std::vector<std::byte> data = std::vector<std::byte>(MiB);
  int opened = 0;
  bool refuses = false;
  Stretches written, zeroed;
  std::stop_source stop;
};

TEST_F(Gate, WhatCameBeforeTheHeadIsDoneOnceItIsThere) {
  HeadGate gate(actions(), stop.get_token());
  EXPECT_FALSE(gate.pass(MiB, 2 * MiB, data.data()).value());
  EXPECT_FALSE(gate.pass(4 * MiB, 5 * MiB, nullptr).value());
  EXPECT_FALSE(gate.pass(5 * MiB, 6 * MiB, nullptr).value());
  EXPECT_TRUE(gate.head_came(1000, MiB));
  EXPECT_EQ(opened, 0);
  EXPECT_TRUE(gate.head_came(MiB - 1000, MiB));
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(written, (Stretches{{MiB, MiB}}));
  EXPECT_EQ(zeroed, (Stretches{{4 * MiB, 6 * MiB}})) << "holes side by side are one";
  EXPECT_TRUE(gate.pass(9 * MiB, 10 * MiB, data.data()).value());
  EXPECT_EQ(opened, 1);
}

TEST_F(Gate, WhatIsRefusedIsRefusedToEverybodyAndNothingIsWritten) {
  refuses = true;
  HeadGate gate(actions(), stop.get_token());
  EXPECT_FALSE(gate.pass(MiB, 2 * MiB, data.data()).value());
  EXPECT_EQ(gate.head_came(MiB, MiB).error().code(), Errc::device_too_small);
  EXPECT_EQ(gate.pass(2 * MiB, 3 * MiB, nullptr).error().code(), Errc::device_too_small);
  EXPECT_EQ(gate.open_now().error().code(), Errc::device_too_small);
  EXPECT_EQ(opened, 1);
  EXPECT_TRUE(written.empty() && zeroed.empty());
}

TEST_F(Gate, AThreadThatIsLateWithTheHeadIsWaitedFor) {
  HeadGate gate(actions(), stop.get_token(), std::chrono::seconds(30));
  for (std::uint64_t i = 0; i < HeadGate::kMostData / MiB; ++i)
    EXPECT_FALSE(gate.pass((i + 1) * MiB, (i + 2) * MiB, data.data()).value());
  std::atomic<bool> head = false, early = false;
  const auto begin = Clock::now();
  std::jthread late([&] {
    std::this_thread::sleep_for(milliseconds(50));
    head = true;
    EXPECT_TRUE(gate.head_came(MiB, MiB));
  });
  EXPECT_TRUE(gate.pass(100 * MiB, 101 * MiB, data.data()).value());
  early = !head;
  EXPECT_FALSE(early) << "opened before the head was there";
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(Gate, AHeadThatDoesNotComeIsNotWaitedForForever) {
  HeadGate gate(actions(), stop.get_token(), milliseconds(20));
  for (std::uint64_t i = 0; i < HeadGate::kMostData / MiB; ++i)
    EXPECT_FALSE(gate.pass((i + 1) * MiB, (i + 2) * MiB, data.data()).value());
  EXPECT_TRUE(gate.pass(100 * MiB, 101 * MiB, data.data()).value());
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(written.size(), HeadGate::kMostData / MiB);
}

TEST_F(Gate, ManyHolesWait) {
  HeadGate gate(actions(), stop.get_token(), std::chrono::seconds(30));
  for (std::uint64_t i = 1; i <= 100'000; ++i)
    ASSERT_FALSE(gate.pass(i * MiB, i * MiB + 4096, nullptr).value());
  EXPECT_TRUE(gate.open_now());
  EXPECT_EQ(zeroed.size(), 100'000U);
}

TEST_F(Gate, AStopEndsTheWaiting) {
  HeadGate gate(actions(), stop.get_token(), std::chrono::seconds(30));
  for (std::uint64_t i = 0; i < HeadGate::kMostData / MiB; ++i)
    EXPECT_FALSE(gate.pass((i + 1) * MiB, (i + 2) * MiB, data.data()).value());
  std::jthread later([&] {
    std::this_thread::sleep_for(milliseconds(20));
    stop.request_stop();
  });
  EXPECT_EQ(gate.pass(100 * MiB, 101 * MiB, data.data()).error().code(), Errc::cancelled);
  EXPECT_EQ(opened, 0);
}

}  // namespace
}  // namespace ingot::disk
