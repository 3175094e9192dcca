#include "imaging/decompressed_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace ingot::imaging {

DecompressedStream::DecompressedStream(std::unique_ptr<ByteStream> in, Compression compression,
                                       std::size_t window_limit, std::stop_token stop)
    : in_(std::move(in)),
      compression_(compression),
      codec_(make_codec(compression, window_limit)),
      pool_(kStreamBlock, kDecodedBlocks),
      decoded_(kDecodedBlocks),
      stop_with_job_(std::move(stop), [this] { stop_.request_stop(); }),
      thread_([this] { run(); }) {}

DecompressedStream::~DecompressedStream() {
  stop_.request_stop();
  thread_.join();
}

Result<Slice> DecompressedStream::next() {
  if (last_) return *last_;
  // Asked first: what was decoded before the stop is not worth writing any more.
  std::optional<Result<Slice>> slice;
  if (!stop_.stop_requested()) slice = decoded_.pop(stop_.get_token());
  if (!slice)
    slice = fail(Errc::cancelled, fmt::format("decompressing {}: cancelled", name(compression_)));
  if (!*slice || (*slice)->empty()) last_ = *slice;
  return *std::move(slice);
}

void DecompressedStream::run() noexcept {
  Result<Slice> end = Slice();
  try {
    if (auto done = decode_all(); !done) end = tl::unexpected<Error>(done.error());
  } catch (const std::exception& error) {
    end = fail(Errc::internal_bug,
               fmt::format("decompressing {}: {}", name(compression_), error.what()));
  }
  (void)decoded_.push(std::move(end), stop_.get_token());  // refused: nobody reads any more
}

Result<void> DecompressedStream::decode_all() {
  for (;;) {
    INGOT_TRY_ASSIGN(BufferRef block, pool_.acquire(stop_.get_token()));
    INGOT_TRY_ASSIGN(const std::size_t filled, fill(block.bytes()));
    if (filled == 0) return {};
    const auto view = block.bytes().first(filled);
    if (!decoded_.push(Slice(std::move(block), view), stop_.get_token()))
      return fail(Errc::cancelled, fmt::format("decompressing {}: cancelled", name(compression_)));
    if (filled < kStreamBlock) return {};
  }
}

/// Fills `out`, or as much of it as there is left to decode. Returns the bytes filled.
Result<std::size_t> DecompressedStream::fill(std::span<std::byte> out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    if (stop_.stop_requested())
      return fail(Errc::cancelled, fmt::format("decompressing {}: cancelled", name(compression_)));
    if (!in_member_) {
      INGOT_TRY_ASSIGN(const bool more, begin_member());
      if (!more) break;
    }
    std::span<const std::byte> available = magic_rest_;
    if (available.empty()) {
      INGOT_TRY_ASSIGN(available, input());
    }
    const auto step = codec_->decode(available, out.subspan(filled));
    if (!step) return wrong(step.error());
    if (!magic_rest_.empty()) {
      magic_rest_ = magic_rest_.subspan(step->consumed);
      offset_ += step->consumed;
    } else {
      consume(step->consumed);
    }
    filled += step->produced;
    any_output_ = any_output_ || step->produced > 0;
    if (step->member_end) {
      in_member_ = false;
    } else if (step->consumed == 0 && step->produced == 0) {
      return wrong(Error(Errc::image_compression,
                         available.empty() ? "the data ends too early: truncated"
                                           : "invalid data: the decoder makes no progress",
                         "check that the image was uploaded completely"));
    }
  }
  return filled;
}

/// Finds the next member and makes the codec ready for it. False at a proper end of the input.
Result<bool> DecompressedStream::begin_member() {
  const std::uint64_t garbage_at = offset_;
  std::uint64_t padding = 0;
  if (members_ > 0) {
    INGOT_TRY_ASSIGN(padding, skip_zeros());
  }
  const std::uint64_t member_at = offset_;
  std::size_t gathered = 0;
  while (gathered < magic_size(compression_)) {
    INGOT_TRY_ASSIGN(const auto available, input());
    if (available.empty()) break;
    const auto take = std::min(available.size(), magic_size(compression_) - gathered);
    std::copy_n(available.begin(), take, magic_.begin() + static_cast<std::ptrdiff_t>(gathered));
    gathered += take;
    consume(take);
  }
  offset_ = member_at;  // the codec has not seen these bytes yet
  magic_rest_ = std::span(magic_).first(gathered);

  const bool at_end = gathered == 0;
  const bool padding_allowed = padding == 0 || (compression_ == Compression::gzip && at_end) ||
                               (compression_ == Compression::xz && padding % 4 == 0);
  if (!padding_allowed || (!at_end && !starts_member(compression_, magic_rest_))) {
    offset_ = garbage_at;
    return wrong(
        Error(Errc::image_compression,
              fmt::format("the data is followed by something that is not {}", name(compression_)),
              "remove what was appended to the image"));
  }
  if (at_end) {
    if (!any_output_) return wrong(Error(Errc::image_compression, "the file holds no data"));
    return false;
  }
  if (auto ready = codec_->restart(); !ready) return wrong(ready.error());
  ++members_;
  in_member_ = true;
  return true;
}

/// Consumes zero bytes; no format's member starts with one. Returns how many there were.
Result<std::uint64_t> DecompressedStream::skip_zeros() {
  std::uint64_t count = 0;
  for (;;) {
    if (stop_.stop_requested())
      return fail(Errc::cancelled, fmt::format("decompressing {}: cancelled", name(compression_)));
    INGOT_TRY_ASSIGN(const auto available, input());
    const auto end = std::find_if(available.begin(), available.end(),
                                  [](std::byte byte) { return byte != std::byte{0}; });
    const auto zeros = static_cast<std::size_t>(end - available.begin());
    count += zeros;
    consume(zeros);
    if (available.empty() || end != available.end()) return count;
  }
}

/// Compressed bytes to be consumed; empty at the end of the input.
Result<std::span<const std::byte>> DecompressedStream::input() {
  if (current_.empty() && !input_ended_) {
    current_ = Slice();  // given back before the next one is asked for
    INGOT_TRY_ASSIGN(current_, in_->next());
    input_ended_ = current_.empty();
  }
  return current_.bytes();
}

void DecompressedStream::consume(std::size_t count) {
  current_ = current_.sub(count);
  offset_ += count;
}

tl::unexpected<Error> DecompressedStream::wrong(const Error& error) const {
  return tl::unexpected<Error>(error.with_context(
      fmt::format("decompressing {} data: at byte {} of the file", name(compression_), offset_)));
}

}  // namespace ingot::imaging
