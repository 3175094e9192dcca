/// Reading back from a claimed target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "disk/claim.hpp"

namespace ingot::disk {

/// Reads all of `bytes` at `offset`, past the page cache where the target has O_DIRECT; any
/// alignment. [offset, offset + bytes.size()) lies inside the target.
/// Errors: write.io with path and offset.
Result<void> read_target(const Claim& target, std::uint64_t offset, std::span<std::byte> bytes);

}  // namespace ingot::disk
