#include "imaging/qcow2/inflater.hpp"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include <new>

namespace ingot::imaging::qcow2 {
namespace {

// What QEMU does, and so what decides: a stream that goes on behind the cluster's end is cut there.
// Returns the bytes used of `in`.
std::optional<std::size_t> inflate_first(std::span<const std::byte> in, std::span<std::byte> out) {
  z_stream stream{};
  if (inflateInit2(&stream, -12) != Z_OK) throw std::bad_alloc();
  // zlib does not write to its input, its interface only says so where ZLIB_CONST is set.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int outcome = inflate(&stream, Z_FINISH);
  const bool full = stream.avail_out == 0 && (outcome == Z_STREAM_END || outcome == Z_BUF_ERROR);
  const std::size_t used = in.size() - stream.avail_in;
  inflateEnd(&stream);
  if (!full) return std::nullopt;
  return used;
}

}  // namespace

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
                                         out.size(), &used, nullptr) == LIBDEFLATE_SUCCESS)
      return used;
    return inflate_first(in, out);
  }
  // A cluster may be several frames. In one call a frame is decoded straight into `out`, so no
  // window is ever allocated, however large the frame says it is.
  std::size_t used = 0;
  while (!out.empty()) {
    const auto rest = in.subspan(used);
    const std::size_t frame = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
    if (ZSTD_isError(frame) != 0) return std::nullopt;
    const std::size_t made =
        ZSTD_decompressDCtx(state_->zstd, out.data(), out.size(), rest.data(), frame);
    if (ZSTD_isError(made) != 0) return std::nullopt;
    used += frame;
    out = out.subspan(made);
  }
  return used;
}

}  // namespace ingot::imaging::qcow2
