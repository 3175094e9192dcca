#include "disk/core/jitter.hpp"

#include <random>

namespace ingot {

std::chrono::milliseconds jittered(std::chrono::milliseconds delay) {
  using Count = std::chrono::milliseconds::rep;
  static thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(
      std::uniform_int_distribution<Count>(delay.count() / 2, delay.count())(random));
}

}  // namespace ingot
