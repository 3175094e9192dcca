#include "imaging/qcow2/inflater.hpp"

#include <libdeflate.h>
#include <zstd.h>

#include <new>

namespace ingot::imaging::qcow2 {

struct Inflater::State {
  libdeflate_decompressor* deflate = nullptr;
  ZSTD_DCtx* zstd = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    libdeflate_free_decompressor(deflate);
    ZSTD_freeDCtx(zstd);
  }
};

Inflater::Inflater(ClusterCompression compression) : state_(std::make_unique<State>()) {
  if (compression == ClusterCompression::deflate)
    state_->deflate = libdeflate_alloc_decompressor();
  else
    state_->zstd = ZSTD_createDCtx();
  if (state_->deflate == nullptr && state_->zstd == nullptr) throw std::bad_alloc();
}

Inflater::~Inflater() = default;

std::optional<std::size_t> Inflater::inflate(std::span<const std::byte> in,
                                             std::span<std::byte> out) {
  if (state_->deflate != nullptr) {
    // Without a place for the length of the output, it has to be exactly out.size() to succeed.
    std::size_t used = 0;
    if (libdeflate_deflate_decompress_ex(state_->deflate, in.data(), in.size(), out.data(),
                                         out.size(), &used, nullptr) != LIBDEFLATE_SUCCESS)
      return std::nullopt;
    return used;
  }
  // In one call the frame is decoded straight into `out`, so no window is ever allocated, however
  // large the frame says it is.
  const std::size_t frame = ZSTD_findFrameCompressedSize(in.data(), in.size());
  if (ZSTD_isError(frame) != 0) return std::nullopt;
  const std::size_t made =
      ZSTD_decompressDCtx(state_->zstd, out.data(), out.size(), in.data(), frame);
  if (ZSTD_isError(made) != 0 || made != out.size()) return std::nullopt;
  return frame;
}

}  // namespace ingot::imaging::qcow2
