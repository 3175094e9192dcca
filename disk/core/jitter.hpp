/// jittered(): delays that differ from one machine to the next.
#pragma once

#include <chrono>

namespace ingot {

/// A random time between half of `delay` and all of it: not all who lost a server at once are to
/// come back at once. Any thread.
[[nodiscard]] std::chrono::milliseconds jittered(std::chrono::milliseconds delay);

}  // namespace ingot
