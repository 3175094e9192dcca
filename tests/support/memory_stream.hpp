/// A ByteStream over bytes in memory, with the knobs a test needs: how the bytes are sliced,
/// whether the size is known, whether ranges are offered, and where the stream fails.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/core/units.hpp"
#include "imaging/byte_stream.hpp"

namespace ingot::test {

using Bytes = std::vector<std::byte>;

/// The bytes of `text`.
inline Bytes bytes_of(std::string_view text) {
  Bytes out(text.size());
  if (!text.empty()) std::memcpy(out.data(), text.data(), text.size());
  return out;
}

struct MemoryStreamOptions {
  std::size_t slice_size = imaging::kStreamBlock;  ///< bytes; every slice but the last
  bool known_size = true;                          ///< whether size() answers
  bool ranges = false;                             ///< whether ranges() answers
  std::size_t blocks = 16;  ///< slices alive at once; next() waits when all are held
  std::optional<std::uint64_t> fail_at = {};  ///< next() fails once this many bytes were delivered
  Errc fail_with = Errc::source_truncated;
  std::stop_token stop = {};  ///< ends the wait for a free slice
};

/// Delivers a copy of `bytes` in pooled slices, as a real source does: a slice outlives the stream,
/// and whoever keeps too many of them waits for ever, as it would with the real one.
class MemoryStream final : public imaging::ByteStream {
 public:
  explicit MemoryStream(Bytes bytes, MemoryStreamOptions options = {})
      : bytes_(std::make_shared<const Bytes>(std::move(bytes))),
        options_(std::move(options)),
        pool_(align_up(std::max<std::size_t>(options_.slice_size, 1), kBufferAlignment),
              options_.blocks),
        ranges_(*bytes_) {}

  Result<Slice> next() override {
    if (options_.fail_at && position_ >= *options_.fail_at)
      return fail(options_.fail_with, "the test's stream fails here");
    std::size_t length = std::min(options_.slice_size, bytes_->size() - position_);
    if (options_.fail_at)
      length = std::min(length, static_cast<std::size_t>(*options_.fail_at - position_));
    if (length == 0) return Slice();
    INGOT_TRY_ASSIGN(BufferRef block, pool_.acquire(options_.stop));
    std::memcpy(block.bytes().data(), bytes_->data() + position_, length);
    const auto view = block.bytes().first(length);
    position_ += length;
    return Slice(std::move(block), view);
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override {
    if (!options_.known_size) return std::nullopt;
    return bytes_->size();
  }
  [[nodiscard]] imaging::RangeReader* ranges() override {
    return options_.ranges ? &ranges_ : nullptr;
  }

  /// Bytes delivered by next() so far.
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  /// Range requests served so far. Any thread.
  [[nodiscard]] int range_requests() const noexcept { return ranges_.requests; }

 private:
  struct Ranges final : imaging::RangeReader {
    explicit Ranges(const Bytes& all) : bytes(all) {}
    Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
      ++requests;
      if (offset > bytes.size() || out.size() > bytes.size() - offset)
        return fail(Errc::source_truncated, "the test's range lies past the end");
      if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
      return {};
    }
    const Bytes& bytes;
    std::atomic<int> requests{0};
  };

  const std::shared_ptr<const Bytes> bytes_;
  const MemoryStreamOptions options_;
  BufferPool pool_;
  Ranges ranges_;
  std::size_t position_ = 0;
};

/// Everything `stream` delivers, or its error.
inline Result<Bytes> read_all(imaging::ByteStream& stream) {
  Bytes all;
  for (;;) {
    INGOT_TRY_ASSIGN(const Slice slice, stream.next());
    if (slice.empty()) return all;
    all.insert(all.end(), slice.bytes().begin(), slice.bytes().end());
  }
}

}  // namespace ingot::test
