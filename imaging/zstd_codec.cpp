// zstd (RFC 8878) by libzstd, directly: libarchive's filter has no way to limit the window. The
// content checksum and the declared content size are verified by the library where a frame has
// them.
#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "disk/core/units.hpp"
#include "imaging/codec.hpp"

namespace ingot::imaging {
namespace {

/// The window a frame header asks for, bytes; 0 if `header` is too short. RFC 8878,
/// section 3.1.1.1.
std::uint64_t window_size(std::span<const std::byte> header) noexcept {
  const auto at = [&](std::size_t i) {
    return i < header.size() ? std::to_integer<std::uint64_t>(header[i]) : 0;
  };
  const std::uint64_t descriptor = at(4);
  if ((descriptor & 0x20) == 0) {  // a window descriptor follows
    const std::uint64_t base = std::uint64_t{1} << (10 + (at(5) >> 3));
    return base + base / 8 * (at(5) & 7);
  }
  // A single segment: the window is the whole content, whose size stands behind the dictionary id.
  constexpr std::array<std::size_t, 4> kIdSizes = {0, 1, 2, 4};
  const std::size_t start = 5 + kIdSizes[descriptor & 3];
  const std::size_t length = std::size_t{1} << (descriptor >> 6);
  std::uint64_t size = 0;
  for (std::size_t i = length; i-- > 0;) size = size << 8 | at(start + i);
  return length == 2 ? size + 256 : size;
}

/// Memory: the frame's window, touched as it fills, up to the limit, and some 300 KiB.
class ZstdCodec final : public Codec {
 public:
  explicit ZstdCodec(std::size_t window_limit) : window_limit_(window_limit) {}
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;
  ~ZstdCodec() override { ZSTD_freeDCtx(context_); }

  Result<void> restart() override {
    if (context_ == nullptr) {
      context_ = ZSTD_createDCtx();
      if (context_ == nullptr) return fail(Errc::image_compression, "no memory for the decoder");
      const auto bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
      const int log = std::clamp(static_cast<int>(std::bit_width(window_limit_)) - 1,
                                 bounds.lowerBound, bounds.upperBound);
      ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, log);
    }
    ZSTD_DCtx_reset(context_, ZSTD_reset_session_only);
    header_length_ = 0;
    return {};
  }

  Result<Step> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    const std::size_t seen = std::min(in.size(), header_.size() - header_length_);
    if (seen > 0) std::memcpy(header_.data() + header_length_, in.data(), seen);
    header_length_ += seen;
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t status = ZSTD_decompressStream(context_, &output, &input);
    if (ZSTD_isError(status) != 0) return error(ZSTD_getErrorCode(status));
    return Step{input.pos, output.pos, status == 0};
  }

 private:
  tl::unexpected<Error> error(ZSTD_ErrorCode code) const {
    switch (code) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return fail(Errc::image_compression,
                    fmt::format("the file needs a window of {}, more than the limit of {}",
                                format_bytes(window_size({header_.data(), header_length_})),
                                format_bytes(window_limit_)),
                    "compress the image with a smaller window (zstd --long=27 or less)");
      case ZSTD_error_checksum_wrong:
        return fail(Errc::image_compression, "wrong checksum");
      case ZSTD_error_dictionary_wrong:
        return fail(Errc::image_compression, "the file was compressed with a dictionary of its own",
                    "compress the image without a dictionary");
      default:
        return fail(Errc::image_compression, ZSTD_getErrorString(code));
    }
  }

  const std::size_t window_limit_;
  ZSTD_DCtx* context_ = nullptr;
  std::array<std::byte, 18> header_{};  // the longest frame header: for the message only
  std::size_t header_length_ = 0;
};

}  // namespace

std::unique_ptr<Codec> make_zstd_codec(std::size_t window_limit) {
  return std::make_unique<ZstdCodec>(window_limit);
}

}  // namespace ingot::imaging
