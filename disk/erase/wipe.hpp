/// Wiping: zeros over exactly what a survey found, and over the ends of every region.
#pragma once

#include <cstdint>

#include "disk/claim.hpp"
#include "disk/erase/survey.hpp"
#include "disk/erase/watch.hpp"

namespace ingot::disk {

/// What is zeroed at either end of a region, bytes.
inline constexpr std::uint64_t kWipedEnd = 1024 * 1024;

/// Zeroes [offset, offset + length), any bytes of the target and no other: where that begins or
/// ends inside a sector, the rest of the sector is written back as it was. Errors: write.io,
/// write.zero.
Result<void> wipe(const Claim& target, std::uint64_t offset, std::uint64_t length, Watch& watch);

/// The target's first and last MiB; its state is then `unbootable`, durably. Errors: also
/// write.flush.
Result<void> wipe_ends(const Claim& target, Watch& watch);

/// Zeroes all that `found` has: every signature, and both ends of every region. What is inside
/// comes before what it is in, the target's own table last, so that whatever is interrupted finds
/// its way the next time. Then looks again, wipes what shows only now, until nothing is found, and
/// flushes. Errors: write.*; write.erase when something does not go away; cancelled between two
/// regions.
Result<void> wipe_metadata(const Claim& target, const Survey& found, Watch& watch);

}  // namespace ingot::disk
