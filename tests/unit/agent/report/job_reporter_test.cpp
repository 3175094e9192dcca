// JobReporter: everybody is told, in order.
#include "agent/report/job_reporter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ingot::agent {
namespace {

// Takes events as they are sent.
class Collector final : public EventOutlet {
 public:
  explicit Collector(std::vector<Event>& into) : into_(into) {}
  void push(Event event) override { into_.push_back(std::move(event)); }
  std::string finish() override { return {}; }

 private:
  std::vector<Event>& into_;
};

TEST(JobReporter, TellsEverythingInOrderAndNotTooOften) {
  std::vector<Event> events;
  std::vector<std::unique_ptr<EventOutlet>> outlets;
  outlets.push_back(std::make_unique<Collector>(events));
  ProgressCounters counters;
  JobReporter reporter(counters, {}, std::move(outlets));
  reporter.started({.image_url = "https://x/y", .device = "/dev/sda"});
  reporter.on_phase(Phase::connect);
  reporter.on_phase(Phase::write);
  reporter.on_phase(Phase::connect);  // never back
  for (int i = 0; i < 120; ++i) {
    counters.bytes_received += 1000;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  reporter.on_retry(1, "reset", 5);
  reporter.stop();
  EXPECT_TRUE(reporter.finish({}).empty());
  std::vector<std::string> types;
  for (const auto& event : events) types.push_back(event.type);
  EXPECT_EQ(types.front(), "started");
  EXPECT_EQ(types.back(), "result");
  EXPECT_EQ(std::ranges::count(types, "phase"), 2);
  const auto progress = std::ranges::count(types, "progress");
  EXPECT_GE(progress, 2);
  EXPECT_LE(progress, 4) << "more than two a second";
}

TEST(JobReporter, TheStatusIsToldAtEachPhaseAndOnceASecond) {
  ProgressCounters counters;
  std::mutex mutex;
  std::vector<std::string> told;
  {
    JobReporter reporter(counters,
                         {.status =
                              [&](const std::string& text) {
                                const std::lock_guard lock(mutex);
                                told.push_back(text);
                              }},
                         {});
    reporter.started({.image_url = "https://x/y", .device = "/dev/sda"});
    for (const Phase phase : {Phase::connect, Phase::write, Phase::flush}) {
      reporter.on_phase(phase);
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
    }
    reporter.stop();
  }
  ASSERT_GE(told.size(), 3U);
  EXPECT_LE(told.size(), 5U) << "drawn ten times a second, told once";
  EXPECT_EQ(told.front(), "Connecting, to write /dev/sda");
  EXPECT_TRUE(told.back().starts_with("Flushing /dev/sda")) << told.back();
}

}  // namespace
}  // namespace ingot::agent
