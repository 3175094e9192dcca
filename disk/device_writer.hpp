/// DeviceWriter: extents onto a claimed target, nothing bootable before commit().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "disk/claim.hpp"
#include "disk/core/extent_sink.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"

namespace ingot::disk {

struct ImageView;

struct WriterOptions {
  std::size_t buffer_count = 24;  ///< output buffers of 1 MiB for decoders
  unsigned queue_depth = 16;      ///< writes in flight at most; shrinks while the device is slow
  bool use_io_uring = true;       ///< false, or io_uring missing: a pool of pwrite threads
  bool dry_run = false;           ///< check and count everything, write nothing
  bool verify_readback = false;   ///< keep checksums of what is written, and verify() with them
  std::optional<std::uint64_t> config_drive = {};  ///< bytes that the table must have room for
  /// A request that is not answered for this long fails the job; nothing then waits for it.
  std::chrono::milliseconds stall_limit{120'000};
};

/// What is kept in memory until commit: the first MiB of the target and the last, or less on a
/// small one. The writer's; gone with it.
struct WithheldEnds {
  std::span<std::byte> head;      ///< at byte 0
  std::span<std::byte> tail;      ///< at `tail_offset`; may be empty
  std::uint64_t tail_offset = 0;  ///< bytes
};

/// The first MiB of the target stays withheld in memory, and so does its last one (the place of the
/// backup GPT), until everything else is on the disk and verified.
///
/// Touch    the target stays as it was until the image's first MiB has come and its partition
///          table was judged by that (plan_table()) and by what look_ahead() gives. What comes
///          sooner waits, 4 MiB of it at most; more than that touches the target unjudged, and
///          finish_disk() judges in the end.
/// Order    touching zeroes the withheld regions durably; write()/zero() fill the rest;
///          finish() waits for all of it and flushes; commit() writes the tail, then the head in
///          one request, and flushes. Anything that ends before commit() leaves zeros in both.
///          Where the image ends inside a sector, the rest of that sector is zeros.
/// Verify   with `verify_readback`, verify() follows each finish(): the first reads the whole image
///          back from the medium, a later one what was written since. commit() refuses to go on
///          without, and reads tail and head back after each was flushed. What does not come back
///          as it was written fails the job, and nothing boots.
/// Threads  write()/zero()/buffer() from any number; the others from one, after those returned.
///          Owns its I/O threads; the destructor stops and joins them and, if the target was
///          touched and not committed, leaves the head and tail zeroed (abandon()).
/// Memory   buffer_count MiB of buffers, 2 MiB withheld, 4 MiB that wait at the beginning, the
///          edges of unaligned extents; to verify, at most 6 MiB.
/// Stalls   a device that does not answer fails the job after `stall_limit`. finish(), abandon()
///          and the destructor then come back at once; the target stays claimed until the kernel
///          has its requests back.
/// Errors   write.* with path and offset; device.too-small; image.too-large past the target's end;
///          those of plan_table(), on an untouched target.
class DeviceWriter final : public ExtentSink {
 public:
  /// `target`, `counters` and `job` outlive the writer; a failed asynchronous write is reported to
  /// `job` at once, which stops the other stages.
  DeviceWriter(const Claim& target, const WriterOptions& options, ProgressCounters& counters,
               FirstError& job);
  ~DeviceWriter() override;

  void look_ahead(ReadAhead read) override;
  Result<void> begin(std::optional<std::uint64_t> virtual_size) override;
  Result<BufferRef> buffer() override;
  Result<void> write(std::uint64_t guest_offset, Slice data) override;
  Result<void> zero(std::uint64_t guest_offset, std::uint64_t length) override;

  /// Touches the target, if nothing has yet: for whoever else is going to write to it, before
  /// begin() even. Errors: those of the judgement, as far as the image is known, and write.*.
  Result<void> touch();
  /// Waits for every write and zero, then flushes. After it the disk holds all but head and tail.
  Result<void> finish();
  /// Reads back and compares what was written since the last verify(), after finish(). Nothing to
  /// do without `verify_readback`. Errors: write.readback with path and byte range; cancelled.
  Result<void> verify();
  /// After finish(), before touch_up(): the image as the disk has it. A rehearsal has only its
  /// ends.
  [[nodiscard]] ImageView image() const;
  /// After finish(): the withheld ends, to be changed in place, and leave to write()/zero()
  /// anywhere on the target, over what is there as well (but each byte once more only), until the
  /// next finish(). Errors: internal.bug before finish().
  Result<WithheldEnds> touch_up();
  /// Writes tail and head, flushes. To be called only when the image is verified and finish()ed.
  Result<void> commit();
  /// Makes sure that nothing boots: head and tail zeroed, flushed. Safe at any time before commit.
  Result<void> abandon();
  /// Whether the target was touched.
  [[nodiscard]] bool touched() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::disk
