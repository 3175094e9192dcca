// xz by liblzma. Header and index CRCs and the block check (CRC32, CRC64, SHA-256) are verified by
// the library; a check it does not know is refused here rather than passed over.
#include <fmt/format.h>
#include <lzma.h>

#include "disk/core/units.hpp"
#include "imaging/codec.hpp"

namespace ingot::imaging {
namespace {

/// Memory: the dictionary of the file's own choice (xz -9: 64 MiB), touched as it fills, up to the
/// limit, and some 100 KiB.
class XzCodec final : public Codec {
 public:
  explicit XzCodec(std::size_t window_limit) : window_limit_(window_limit) {}
  XzCodec(const XzCodec&) = delete;
  XzCodec& operator=(const XzCodec&) = delete;
  ~XzCodec() override { lzma_end(&stream_); }

  Result<void> restart() override {
    // The decoder's own state comes on top of the dictionary.
    constexpr std::uint64_t kState = MiB;
    if (lzma_stream_decoder(&stream_, std::uint64_t{window_limit_} + kState,
                            LZMA_TELL_UNSUPPORTED_CHECK) != LZMA_OK)
      return fail(Errc::image_compression, "no memory for the decoder");
    return {};
  }

  Result<Step> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret status = lzma_code(&stream_, LZMA_RUN);
    switch (status) {
      case LZMA_OK:
      case LZMA_BUF_ERROR:  // "no progress was possible", which DecompressedStream judges
      case LZMA_STREAM_END:
        return Step{in.size() - stream_.avail_in, out.size() - stream_.avail_out,
                    status == LZMA_STREAM_END};
      case LZMA_MEMLIMIT_ERROR:
        return fail(
            Errc::image_compression,
            fmt::format("the file needs a dictionary of about {}, more than the limit of {}",
                        format_bytes(lzma_memusage(&stream_)), format_bytes(window_limit_)),
            "compress the image with a smaller dictionary (xz -9 or less)");
      case LZMA_UNSUPPORTED_CHECK:
        return fail(Errc::image_compression, "unknown kind of integrity check");
      case LZMA_OPTIONS_ERROR:
        return fail(Errc::image_compression, "unsupported filters or options");
      case LZMA_FORMAT_ERROR:
        return fail(Errc::image_compression, "invalid stream header");
      case LZMA_MEM_ERROR:
        return fail(Errc::image_compression, "no memory for the decoder");
      default:
        return fail(Errc::image_compression, "invalid data or wrong checksum");
    }
  }

 private:
  const std::size_t window_limit_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

std::unique_ptr<Codec> make_xz_codec(std::size_t window_limit) {
  return std::make_unique<XzCodec>(window_limit);
}

}  // namespace ingot::imaging
