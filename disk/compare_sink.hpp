/// CompareSink: an image's extents compared with a disk, which is only read.
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
#include "disk/difference_map.hpp"

namespace ingot::disk {

struct CompareOptions {
  std::size_t buffer_count = 24;  ///< output buffers of 1 MiB for decoders
  unsigned readers = 4;           ///< reads in flight
  /// A read that is not answered for this long fails the job; nothing then waits for it.
  std::chrono::milliseconds stall_limit{120'000};
};

/// Reads what each extent says and puts what differs into `differences`. The image's first MiB is
/// kept for whoever knows what may differ in a partition table, and not compared.
///
/// Order    begin(), write() and zero(), finish(); then `head()`.
/// Threads  as ExtentSink; begin(), finish() and head() from one. Owns its readers.
/// Memory   buffer_count MiB, 1 MiB a reader, 1 MiB of head.
/// Errors   device.too-small, image.too-large; write.io when the disk cannot be read, or does not
///          answer. A difference is no error.
class CompareSink final : public ExtentSink {
 public:
  /// All outlive the sink. `counters.bytes_verified` counts what was compared.
  CompareSink(const Claim& target, const CompareOptions& options, DifferenceMap& differences,
              ProgressCounters& counters, FirstError& job);
  ~CompareSink() override;

  Result<void> begin(std::optional<std::uint64_t> virtual_size) override;
  Result<BufferRef> buffer() override;
  Result<void> write(std::uint64_t guest_offset, Slice data) override;
  Result<void> zero(std::uint64_t guest_offset, std::uint64_t length) override;

  /// Waits until everything was compared.
  Result<void> finish();
  /// The image's first MiB; less if image or disk are smaller.
  [[nodiscard]] std::span<const std::byte> head() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::disk
