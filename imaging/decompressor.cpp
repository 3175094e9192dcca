#include "imaging/decompressor.hpp"

#include <fmt/format.h>

#include <exception>

#include "imaging/compression.hpp"
#include "imaging/decompressed_stream.hpp"
#include "imaging/peek_stream.hpp"
#include "imaging/tar_stream.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kSniffed = 512;  // a tar header, the longest thing looked for

Result<Unwrapped> unwrap_or_throw(std::unique_ptr<ByteStream> in, std::stop_token stop,
                                  const UnwrapLimits& limits) {
  Unwrapped result;
  auto stream = std::make_unique<PeekStream>(std::move(in));
  INGOT_TRY_ASSIGN(auto head, stream->peek(kSniffed));
  result.compression = "none";
  if (const auto compression = sniff_compression(head)) {
    result.compression = name(*compression);
    stream = std::make_unique<PeekStream>(
        std::make_unique<DecompressedStream>(std::move(stream), *compression, limits.window, stop));
    INGOT_TRY_ASSIGN(head, stream->peek(kSniffed));
  }
  if (starts_tar(head)) {
    result.compression += "+tar";
    INGOT_TRY_ASSIGN(result.stream, TarStream::open(std::move(stream), std::move(stop)));
  } else {
    result.stream = std::move(stream);
  }
  return result;
}

}  // namespace

Result<Unwrapped> unwrap(std::unique_ptr<ByteStream> in, std::stop_token stop,
                         const UnwrapLimits& limits) {
  try {
    return unwrap_or_throw(std::move(in), std::move(stop), limits);
  } catch (const std::exception& error) {  // no memory, no thread
    return fail(Errc::internal_bug, fmt::format("setting up decompression: {}", error.what()));
  }
}

}  // namespace ingot::imaging
