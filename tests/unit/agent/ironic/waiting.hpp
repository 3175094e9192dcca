// Waiting for what another thread does.
#pragma once

#include <chrono>
#include <thread>

namespace ingot::test {

/// Whether `condition` comes true; waits far longer than that takes on a loaded machine.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace ingot::test
