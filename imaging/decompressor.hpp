/// Compression and archives around an image: found by content, undone as the bytes arrive.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "imaging/byte_stream.hpp"

namespace ingot::imaging {

/// A stream with its wrapping undone, and what that wrapping was.
struct Unwrapped {
  std::unique_ptr<ByteStream> stream;
  std::string
      compression;  ///< "none", "gzip", "xz", "zstd", "bzip2", "lz4"; "+tar" appended for a tar
};

/// Looks at the first bytes of `in` and undoes gzip (multi-member), xz, zstd (multi-frame), bzip2
/// or lz4, and a tar that holds exactly one regular file (plain or compressed). Anything else
/// passes through untouched, ranges included. The result's slices keep ByteStream's block rule.
///
/// Truncated, corrupt (every checksum the format has is checked), followed by garbage, or empty:
/// image.compression or image.archive, at the latest when the end is reached. The output is not
/// limited here: whoever reads stops at the target's end.
/// Memory: one block of output, and the format's window (zstd 128 MiB at most, refused above).
Result<Unwrapped> unwrap(std::unique_ptr<ByteStream> in, std::stop_token stop);

}  // namespace ingot::imaging
