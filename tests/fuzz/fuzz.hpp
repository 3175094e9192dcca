/// What a fuzz target provides: its input handler, and seeds for when there is no fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// libFuzzer's entry point; aborts when a property does not hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ingot::fuzz {

using Input = std::vector<std::uint8_t>;

/// Valid inputs to mutate; implemented by each target.
std::vector<Input> seeds();

}  // namespace ingot::fuzz
