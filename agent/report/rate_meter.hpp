/// RateMeter: how fast a counter grows, over the last few seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace ingot::agent {

/// The mean over a sliding window: steady enough to read, quick enough to show a stall within
/// seconds. Times come from the caller; they and the values never go back.
class RateMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kWindow{5};

  void add(Time now, std::uint64_t value) {
    // Samples closer than this say nothing new and would only cost memory.
    constexpr std::chrono::milliseconds kSpacing{50};
    if (samples_.size() > 1 && now - samples_[samples_.size() - 2].time < kSpacing)
      samples_.back() = {now, value};
    else
      samples_.push_back({now, value});
    while (samples_.size() > 2 && now - samples_[1].time >= kWindow) samples_.pop_front();
  }

  /// Units a second; 0 before there are two samples.
  [[nodiscard]] double per_second() const {
    if (samples_.size() < 2) return 0;
    const std::chrono::duration<double> span = samples_.back().time - samples_.front().time;
    if (span.count() <= 0) return 0;
    return static_cast<double>(samples_.back().value - samples_.front().value) / span.count();
  }

 private:
  struct Sample {
    Time time;
    std::uint64_t value;
  };
  std::deque<Sample> samples_;
};

}  // namespace ingot::agent
