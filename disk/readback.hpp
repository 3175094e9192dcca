/// Readback: what was written, as checksums, and whether the medium gives it back.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"
#include "disk/target_scan.hpp"

namespace ingot::disk {

/// One checksum a block of the target, made of whatever parts the block was written in.
///
/// Against devices that fail or lie, not against adversaries: a wrong bit, lost, torn, misplaced
/// and exchanged writes all change a block's CRC-64 but for one case in 2^64. The checksum is
/// linear (crc64.hpp), so parts may come in any order and at any alignment, and what was zeroed or
/// never written counts as zeros and costs nothing.
///
/// Threads  add() any number.
/// Memory   8 bytes a block. Blocks are 1 MiB, on targets above 512 GiB as much more as keeps the
///          table at 4 MiB.
class BlockSums {
 public:
  /// `size` of the target, bytes.
  explicit BlockSums(std::uint64_t size);
  /// `data` belongs at `offset`; the same bytes once more take it out again.
  void add(std::uint64_t offset, std::span<const std::byte> data);
  [[nodiscard]] std::uint64_t block_bytes() const noexcept { return block_bytes_; }
  /// Whether all that was added to the block that begins at `offset` was taken out again.
  [[nodiscard]] bool even(std::uint64_t offset) const;

 private:
  const std::uint64_t block_bytes_;
  std::vector<std::atomic<std::uint64_t>> sums_;
};

/// Collects what is written to a target and compares the target with it, epoch by epoch.
///
/// Epochs   The first takes everything up to the first verify(): all of the image, each byte at
///          most once; whatever was not written in its range has to be zeros. From then on each
///          epoch, of a partition table's repair or a partition more, is a list of what was written
///          in it, in which each byte comes once as well; what was written earlier may be
///          overwritten.
/// Threads  wrote() any number; the others one, while nobody writes.
/// Memory   that of BlockSums, and 1.5 MiB for later epochs.
class Readback {
 public:
  explicit Readback(const Claim& target);

  /// `data` goes to `offset`. Errors: internal.bug when a later epoch has too many parts.
  Result<void> wrote(std::uint64_t offset, std::span<const std::byte> data);
  /// [offset, offset + length) gets zeros.
  Result<void> zeroed(std::uint64_t offset, std::uint64_t length);

  /// Reads back and compares what the epoch wrote, after it was flushed; the first epoch is all of
  /// [from, to). `verified` counts bytes. Begins the next epoch.
  /// Errors: write.readback with path and byte range; cancelled.
  Result<void> verify(std::uint64_t from, std::uint64_t to, const ReadOptions& options,
                      std::atomic<std::uint64_t>& verified);
  /// Reads [offset, offset + expected.size()) back and compares it with memory.
  Result<void> compare(std::uint64_t offset, std::span<const std::byte> expected,
                       const ReadOptions& options, std::atomic<std::uint64_t>& verified) const;
  /// Whether the image was verified, and nothing was written since the last verify().
  [[nodiscard]] bool complete() const;

 private:
  struct Part {
    std::uint64_t length;
    std::uint64_t crc;
  };
  Result<void> add_part(std::uint64_t offset, Part part);
  Result<void> verify_blocks(std::uint64_t from, std::uint64_t to, const ReadOptions& options,
                             std::atomic<std::uint64_t>& verified);
  Result<void> verify_part(std::uint64_t offset, Part part, const ReadOptions& options,
                           std::atomic<std::uint64_t>& verified) const;

  const Claim& target_;
  BlockSums image_;
  bool image_verified_ = false;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Part> parts_;  // by offset; of the epoch
};

}  // namespace ingot::disk
