/// PeekStream: a stream whose first bytes may be looked at before it is read.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "disk/core/units.hpp"
#include "imaging/byte_stream.hpp"

namespace ingot::imaging {

/// Passes another stream on, size and ranges included. What was peeked at comes first, in the
/// slices it came in.
class PeekStream final : public ByteStream {
 public:
  explicit PeekStream(std::unique_ptr<ByteStream> in) : in_(std::move(in)) {}

  /// The first bytes: at least `wanted`, or all there are. To be called once, before next(); the
  /// view is valid until then. Errors: the inner stream's.
  Result<std::span<const std::byte>> peek(std::size_t wanted) {
    INGOT_TRY_ASSIGN(Slice first, in_->next());
    if (first.size() < wanted && !first.empty()) {
      // Fewer bytes than a block: a short file, or a stream of small slices. They are gathered in
      // one buffer rather than kept, since a source has only so many slices to give.
      BufferPool pool(align_up(wanted, kBufferAlignment), 1);
      INGOT_TRY_ASSIGN(const BufferRef gathered, pool.acquire({}));
      std::size_t filled = 0;
      Slice rest = std::move(first);
      for (;;) {
        const auto take = std::min(rest.size(), wanted - filled);
        std::memcpy(gathered.bytes().data() + filled, rest.bytes().data(), take);
        filled += take;
        if (filled == wanted) {
          rest = rest.sub(take);
          break;
        }
        rest = Slice();  // given back before the next one is asked for
        INGOT_TRY_ASSIGN(rest, in_->next());
        if (rest.empty()) break;
      }
      first = Slice(gathered, gathered.bytes().first(filled));
      if (!rest.empty()) peeked_.push_back(std::move(rest));
    }
    if (first.empty()) return std::span<const std::byte>{};
    peeked_.push_front(std::move(first));
    return peeked_.front().bytes();
  }

  Result<Slice> next() override {
    if (peeked_.empty()) return in_->next();
    Slice slice = std::move(peeked_.front());
    peeked_.pop_front();
    return slice;
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return in_->size(); }
  [[nodiscard]] RangeReader* ranges() override { return in_->ranges(); }

 private:
  const std::unique_ptr<ByteStream> in_;
  std::deque<Slice> peeked_;
};

}  // namespace ingot::imaging
