/// Making a stretch of the target read back as zeros, as cheaply as it can be had.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>

#include "disk/claim.hpp"

namespace ingot::disk {

/// Zeroes stretches of one target, and remembers which ways the target knows.
///
/// Block devices: BLKZEROOUT (hardware WRITE ZEROES where the device has it; the kernel writes
/// zeros where not). Regular files: FALLOC_FL_PUNCH_HOLE, then FALLOC_FL_ZERO_RANGE. Both, last:
/// writing zeros. Discard is never taken for zeroing: what it leaves behind is up to the device.
class Zeroing {
 public:
  /// `target` outlives it.
  explicit Zeroing(const Claim& target) : target_(target) {}

  /// [offset, offset + length), bytes; on a block device multiples of its logical sector. Asks
  /// `stop` between steps. Errors: write.zero, cancelled.
  Result<void> run(std::uint64_t offset, std::uint64_t length, std::stop_token stop);

 private:
  enum class Way { ioctl, punch, zero_range, write };
  Result<void> step(std::uint64_t offset, std::uint64_t length);

  const Claim& target_;
  Way way_ = target_.block_device ? Way::ioctl : Way::punch;
};

/// Writes `length` zero bytes at `offset` and nothing else, in one request of at most 1 MiB each.
/// Alignment as the target's descriptor needs it; other edges go through its buffered descriptor.
Result<void> write_zeros(const Claim& target, std::uint64_t offset, std::uint64_t length);

/// Writes all of `data` at `offset` at once: through the O_DIRECT descriptor where all is aligned,
/// else through the buffered one. Errors: write.io.
Result<void> write_all(const Claim& target, std::uint64_t offset, std::span<const std::byte> data);

/// Flushes what either descriptor wrote, to the medium. Errors: write.flush.
Result<void> flush(const Claim& target);

}  // namespace ingot::disk
