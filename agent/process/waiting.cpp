#include "agent/process/waiting.hpp"

#include <condition_variable>
#include <mutex>

namespace ingot::agent {

bool pause(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace ingot::agent
