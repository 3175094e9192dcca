/// Codec: one compression library behind one small interface, a member at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "disk/core/error.hpp"
#include "imaging/compression.hpp"

namespace ingot::imaging {

/// Decodes the members (gzip), streams (xz, bzip2) or frames (zstd, lz4) of one format, one after
/// the other. What lies between and behind them is decided once for all formats, in
/// DecompressedStream, because the libraries and libarchive each have an opinion of their own
/// (libarchive 3.6.2 takes garbage after gzip and bzip2 for a good end, and checks no gzip CRC).
///
/// Threads  one caller. Memory: the format's window and a few blocks, see each codec.
class Codec {
 public:
  struct Step {
    std::size_t consumed = 0;  ///< bytes of `in`
    std::size_t produced = 0;  ///< bytes of `out`
    bool member_end = false;   ///< the member is complete and all its checksums were right
  };

  virtual ~Codec() = default;
  /// Makes ready for the next member. Called before the first one as well.
  [[nodiscard]] virtual Result<void> restart() = 0;
  /// Decodes some of `in` into `out`, which is not empty. `in` may be empty, to ask for what the
  /// library holds back. A step without consumption and production means that it needs input.
  /// Errors: image.compression, saying what is wrong with the data, without the place.
  [[nodiscard]] virtual Result<Step> decode(std::span<const std::byte> in,
                                            std::span<std::byte> out) = 0;
};

/// `window_limit` in bytes: the largest window (zstd) or dictionary (xz) that is accepted. The
/// other formats need at most 4 MiB.
std::unique_ptr<Codec> make_codec(Compression compression, std::size_t window_limit);

// One for each library, each in a file of its own.
std::unique_ptr<Codec> make_gzip_codec();
std::unique_ptr<Codec> make_xz_codec(std::size_t window_limit);
std::unique_ptr<Codec> make_zstd_codec(std::size_t window_limit);
std::unique_ptr<Codec> make_bzip2_codec();
std::unique_ptr<Codec> make_lz4_codec();

}  // namespace ingot::imaging
