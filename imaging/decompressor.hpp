/// Compression and archives around an image: found by content, undone as the bytes arrive.
#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>

#include "disk/core/units.hpp"
#include "imaging/byte_stream.hpp"

namespace ingot::imaging {

/// A stream with its wrapping undone, and what that wrapping was.
struct Unwrapped {
  std::unique_ptr<ByteStream> stream;
  std::string
      compression;  ///< "none", "gzip", "xz", "zstd", "bzip2", "lz4"; "+tar" appended for a tar
};

struct UnwrapLimits {
  /// The largest window (zstd) or dictionary (xz) accepted, bytes. It is only touched as far as
  /// the image fills it: 8 MiB for `zstd -19`, 64 MiB for `xz -9`. The default is what `zstd -d`
  /// accepts unasked; a tighter memory budget may lower it.
  std::size_t window = 128 * MiB;
};

/// Looks at the first bytes of `in` and undoes gzip (multi-member), xz, zstd (multi-frame), bzip2
/// or lz4, and a tar that holds exactly one image (plain or compressed; see TarStream). Anything
/// else passes through untouched, ranges included. One compression is undone, not two: what is
/// inside a second one is for the probe to refuse. The result's slices keep ByteStream's block
/// rule.
///
/// Truncated, corrupt (every checksum the format has is checked), followed by garbage, or empty:
/// image.compression or image.archive, at the latest when the end is reached. The output is not
/// limited here: whoever reads stops at the target's end.
/// Threads: decoding has one of its own, which the stream's destructor joins. It may be waiting for
/// `in`: whoever gives up early stops the source (or `stop`) first.
/// Memory: 8 blocks of output for each layer, and the format's window. A reader that keeps all of a
/// layer's blocks and asks for one more waits for ever.
Result<Unwrapped> unwrap(std::unique_ptr<ByteStream> in, std::stop_token stop,
                         const UnwrapLimits& limits = {});

}  // namespace ingot::imaging
