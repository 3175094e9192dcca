/// Overwriting and discarding a whole target.
#pragma once

#include "disk/claim.hpp"
#include "disk/erase/watch.hpp"

namespace ingot::disk {

/// Whether the device has discard. Source: sysfs, queue/discard_max_bytes. A regular file has
/// holes. Errors: device.unsupported, with what to try instead.
Result<void> check_discard(const Claim& target);

/// Discards everything, in steps. What is read afterwards is up to the device; a file reads zeros.
/// Errors: device.unsupported if the device refuses the first one; write.erase; cancelled.
Result<void> discard_all(const Claim& target, Watch& watch);

/// Zeroes everything (zeroing.hpp), both ends first, and flushes. Errors: write.*; cancelled, with
/// how far it came.
Result<void> zero_all(const Claim& target, Watch& watch);

/// Reads both ends and samples between them, from the medium, and refuses what is not zeros.
/// Errors: write.readback with the byte; cancelled.
Result<void> check_zeros(const Claim& target, Watch& watch, std::chrono::milliseconds stall_limit);

}  // namespace ingot::disk
