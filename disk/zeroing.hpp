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
/// Block devices: fallocate(FALLOC_FL_PUNCH_HOLE), which is the device's own WRITE ZEROES with
/// leave to unmap and fails where it has none, then BLKZEROOUT, for which the kernel writes zeros
/// if it must. (The other way round a thin disk would be filled up: BLKZEROOUT never unmaps.)
/// Regular files: FALLOC_FL_PUNCH_HOLE, then FALLOC_FL_ZERO_RANGE. Both, last: writing zeros. All
/// of them leave zeros for certain; discard is never used, what it leaves behind is up to the
/// device. A way that the target does not know is not tried again; one that fails hands this
/// stretch to the next, so that only a target that cannot even be written is an error.
class Zeroing {
 public:
  /// `target` outlives it.
  explicit Zeroing(const Claim& target) : target_(target) {}

  /// [offset, offset + length), bytes; on a block device multiples of its logical sector. Asks
  /// `stop` between steps. Errors: write.zero, cancelled.
  Result<void> run(std::uint64_t offset, std::uint64_t length, std::stop_token stop);
  /// Bytes that one request may take: what a cancel waits for, and what a device is given at once.
  [[nodiscard]] std::uint64_t step_bytes() const noexcept;

 private:
  enum class Way { ioctl, punch, zero_range, write };
  Result<void> step(std::uint64_t offset, std::uint64_t length);

  const Claim& target_;
  Way way_ = Way::punch;
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
