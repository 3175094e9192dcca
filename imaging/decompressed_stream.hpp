/// DecompressedStream: a compressed stream, decoded on a thread of its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>

#include "disk/core/bounded_queue.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/codec.hpp"
#include "imaging/compression.hpp"

namespace ingot::imaging {

/// Reads all members of a compressed file and delivers their contents as one stream.
///
/// Shape    compressed bytes in slices of any size in, blocks of kStreamBlock out.
/// Ends     The input has to end with a member: what else follows is an error, whatever the
///          format's own tool makes of it. Two kinds of padding are no garbage: zeros up to the end
///          after gzip (GNU gzip takes them silently, since tapes pad with them), and multiples of
///          four zero bytes between and after xz streams (the xz file format, section 2.2). Members
///          that hold nothing at all are an error as well.
/// Threads  One decodes ahead of the reader, so that decoding and writing go on at the same time.
///          The destructor stops and joins it; it waits for a call of the input's next() that is
///          under way, so a job that ends early stops its source first.
/// Memory   kDecodedBlocks blocks and the codec's window. A reader that keeps that many slices and
///          asks for one more waits for ever.
/// Errors   image.compression with the format and the offset in the compressed file; the input's;
///          cancelled.
class DecompressedStream final : public ByteStream {
 public:
  /// `window_limit` as in make_codec().
  DecompressedStream(std::unique_ptr<ByteStream> in, Compression compression,
                     std::size_t window_limit, std::stop_token stop);
  ~DecompressedStream() override;
  DecompressedStream(const DecompressedStream&) = delete;
  DecompressedStream& operator=(const DecompressedStream&) = delete;

  Result<Slice> next() override;
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return std::nullopt; }
  [[nodiscard]] RangeReader* ranges() override { return nullptr; }

  /// Enough for the writer to have several under way while the next are decoded.
  static constexpr std::size_t kDecodedBlocks = 8;

 private:
  void run() noexcept;
  Result<void> decode_all();
  Result<std::size_t> fill(std::span<std::byte> out);
  Result<bool> begin_member();
  Result<std::uint64_t> skip_zeros();
  Result<std::span<const std::byte>> input();
  void consume(std::size_t count);
  [[nodiscard]] tl::unexpected<Error> wrong(const Error& error) const;

  const std::unique_ptr<ByteStream> in_;
  const Compression compression_;
  const std::unique_ptr<Codec> codec_;
  BufferPool pool_;
  BoundedQueue<Result<Slice>> decoded_;
  std::optional<Result<Slice>> last_;  // the reader's: the end, or the error, once met

  // The decoding thread's.
  Slice current_;                          // compressed bytes not consumed yet
  std::array<std::byte, 8> magic_{};       // of the member, gathered from one slice or several
  std::span<const std::byte> magic_rest_;  // what of it the codec has not consumed
  std::uint64_t offset_ = 0;               // in the compressed file, of what comes next
  std::uint64_t members_ = 0;              // begun so far
  bool in_member_ = false;
  bool input_ended_ = false;
  bool any_output_ = false;

  std::stop_source stop_;
  std::stop_callback<std::function<void()>> stop_with_job_;
  std::thread thread_;  // last: everything it uses exists before it starts
};

}  // namespace ingot::imaging
