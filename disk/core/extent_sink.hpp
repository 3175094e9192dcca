/// ExtentSink: where a decoder's output goes. `imaging` pushes to it, `disk` implements it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"

namespace ingot {

/// Reads the decoded disk's bytes ahead of their extents. One caller at a time.
using ReadAhead = std::function<Result<void>(std::uint64_t guest_offset, std::span<std::byte>)>;

/// Takes the decoded disk, extent by extent.
///
/// Shape    begin() once, then write()/zero() in any guest order, each guest byte at most once,
///          then nothing: completing and committing belongs to whoever owns the sink, not to the
///          decoder.
/// Units    guest offsets and lengths in bytes (0 = first byte of the decoded disk), of any
///          alignment.
/// Threads  buffer(), write() and zero() may be called by several threads at once; each may block
///          for back-pressure and returns Errc::cancelled soon after the job is stopped. A failed
///          asynchronous write is returned by a later call.
class ExtentSink {
 public:
  virtual ~ExtentSink() = default;

  /// Lends a way to look at what will come, where the decoder has one, from before begin() until
  /// the decoder returns. Its bytes are not covered by the image's digest: good enough to refuse an
  /// image before the target is touched, never to be written.
  virtual void look_ahead(ReadAhead) {}

  /// Says that the image is understood and how large the decoded disk is (bytes), if that is known
  /// yet. The target is never touched before.
  /// Errors: device.too-small, and what the target's preparation meets.
  [[nodiscard]] virtual Result<void> begin(std::optional<std::uint64_t> virtual_size) = 0;

  /// An aligned buffer to fill for write(); at least 1 MiB. Waits for one.
  [[nodiscard]] virtual Result<BufferRef> buffer() = 0;

  /// Takes `data` for [guest_offset, guest_offset + data.size()). Keeps the slice until written.
  /// Errors: image.too-large past the end of the target.
  [[nodiscard]] virtual Result<void> write(std::uint64_t guest_offset, Slice data) = 0;

  /// The range must read back as zeros.
  [[nodiscard]] virtual Result<void> zero(std::uint64_t guest_offset, std::uint64_t length) = 0;
};

}  // namespace ingot
