/// ByteStream: bytes in file order, one slice at a time; RangeReader: bytes of the same file from
/// anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"

namespace ingot::imaging {

/// Size of the blocks that image bytes travel in. Every slice of a stream but its last has exactly
/// this size, so that a raw image's slices are aligned on the target as they come.
inline constexpr std::size_t kStreamBlock = 1024 * 1024;

/// Reads parts of the image file out of order, over a connection of its own.
///
/// Bytes it returns are NOT covered by the digest. Whoever acts on them must require that the
/// stream carries the same bytes at the same place.
class RangeReader {
 public:
  virtual ~RangeReader() = default;
  /// Fills `out` with the file's bytes from `offset` (bytes) on. One caller at a time.
  /// Errors: source.* (source.changed when the object is no longer the one being streamed).
  [[nodiscard]] virtual Result<void> read(std::uint64_t offset, std::span<std::byte> out) = 0;
};

/// A forward-only stream. One reader, on one thread.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// The next slice; an empty one at the end, and again on every call after it. An error is final.
  [[nodiscard]] virtual Result<Slice> next() = 0;
  /// Total bytes, where known. Constant from the first slice on.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const = 0;
  /// Random access to the same bytes, or nullptr when there is none.
  [[nodiscard]] virtual RangeReader* ranges() = 0;
};

}  // namespace ingot::imaging
