/// pause(): waits that end when the agent is stopped.
#pragma once

#include <chrono>
#include <stop_token>

namespace ingot::agent {

/// Waits for `time`, or until `stop` is requested. False if it was.
bool pause(const std::stop_token& stop, std::chrono::milliseconds time);

}  // namespace ingot::agent
