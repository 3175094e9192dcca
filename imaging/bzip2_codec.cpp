// bzip2 by libbz2. The block CRCs and the stream's combined CRC are checked by the library.
#include <bzlib.h>

#include <algorithm>
#include <limits>

#include "imaging/codec.hpp"

namespace ingot::imaging {
namespace {

/// Memory: 3.7 MB for blocks of 900 kB.
class Bzip2Codec final : public Codec {
 public:
  Bzip2Codec() = default;
  Bzip2Codec(const Bzip2Codec&) = delete;
  Bzip2Codec& operator=(const Bzip2Codec&) = delete;
  ~Bzip2Codec() override { end(); }

  Result<void> restart() override {
    end();
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK)
      return fail(Errc::image_compression, "no memory for the decoder");
    open_ = true;
    return {};
  }

  Result<Step> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    constexpr std::size_t kMost = std::numeric_limits<unsigned>::max();
    const auto offered = std::min(in.size(), kMost);
    const auto room = std::min(out.size(), kMost);
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(offered);
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(room);
    const int status = BZ2_bzDecompress(&stream_);
    switch (status) {
      case BZ_OK:
      case BZ_STREAM_END:
        return Step{offered - stream_.avail_in, room - stream_.avail_out, status == BZ_STREAM_END};
      case BZ_DATA_ERROR_MAGIC:
        return fail(Errc::image_compression, "invalid stream header");
      case BZ_DATA_ERROR:
        return fail(Errc::image_compression, "invalid block or wrong checksum");
      case BZ_MEM_ERROR:
        return fail(Errc::image_compression, "no memory for the decoder");
      default:
        return fail(Errc::image_compression, "invalid data");
    }
  }

 private:
  void end() noexcept {
    if (open_) BZ2_bzDecompressEnd(&stream_);
    open_ = false;
  }

  bz_stream stream_{};
  bool open_ = false;
};

}  // namespace

std::unique_ptr<Codec> make_bzip2_codec() {
  return std::make_unique<Bzip2Codec>();
}

}  // namespace ingot::imaging
