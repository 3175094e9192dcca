// LZ4 frames by liblz4. Header, block and content checksums and the content size are verified by
// the library where a frame has them.
#include <lz4frame.h>

#include "imaging/codec.hpp"

namespace ingot::imaging {
namespace {

/// Memory: two blocks of at most 4 MiB.
class Lz4Codec final : public Codec {
 public:
  Lz4Codec() = default;
  Lz4Codec(const Lz4Codec&) = delete;
  Lz4Codec& operator=(const Lz4Codec&) = delete;
  ~Lz4Codec() override { LZ4F_freeDecompressionContext(context_); }

  Result<void> restart() override {
    if (context_ != nullptr) {
      LZ4F_resetDecompressionContext(context_);
    } else if (LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) != 0) {
      return fail(Errc::image_compression, "no memory for the decoder");
    }
    return {};
  }

  Result<Step> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    std::size_t consumed = in.size();
    std::size_t produced = out.size();
    const std::size_t status =
        LZ4F_decompress(context_, out.data(), &produced, in.data(), &consumed, nullptr);
    if (LZ4F_isError(status) != 0) return fail(Errc::image_compression, LZ4F_getErrorName(status));
    return Step{consumed, produced, status == 0};
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

}  // namespace

std::unique_ptr<Codec> make_lz4_codec() {
  return std::make_unique<Lz4Codec>();
}

}  // namespace ingot::imaging
