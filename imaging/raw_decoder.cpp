// The raw decoder: the stream is the disk.
//
// Slices go to the sink as they are, without a copy. What is zero goes as zero extents: the scan
// works in units of 64 KiB, joins neighbouring units and goes on across slices, up to 16 MiB
// (larger requests are no faster, and endless zeros must meet the target's end). A zero run inside
// a slice that is too short to be worth three operations instead of one is written as data: 64 KiB
// requests cost several times more per byte than 1 MiB ones, for writing and for zeroing alike.
#include <fmt/format.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "imaging/decoders.hpp"
#include "imaging/zero_scan.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kScanUnit = 64 * KiB;
constexpr std::size_t kShortestInnerZeroRun = 256 * KiB;
constexpr std::uint64_t kLongestZeroRun = 16 * MiB;

class RawDecoder {
 public:
  explicit RawDecoder(ExtentSink& sink) : sink_(sink) {}

  Result<void> take(const Slice& slice) {
    const auto bytes = slice.bytes();
    std::size_t data_from = 0;  // what lies from here to `at` is data not handed over yet
    std::size_t at = 0;
    while (at < bytes.size()) {
      std::size_t run_end = at;
      while (run_end < bytes.size() && all_zero(unit(bytes, run_end)))
        run_end += unit(bytes, run_end).size();
      const bool inner = at > 0 && run_end < bytes.size();
      if (run_end == at || (inner && run_end - at < kShortestInnerZeroRun)) {
        at = run_end < bytes.size() ? run_end + unit(bytes, run_end).size() : run_end;
        continue;
      }
      INGOT_TRY(write(slice.sub(data_from, at - data_from)));
      zeros_ += run_end - at;
      position_ += run_end - at;
      if (zeros_ >= kLongestZeroRun) INGOT_TRY(flush_zeros());
      data_from = at = run_end;
    }
    return write(slice.sub(data_from));
  }

  /// Hands over the zeros that are still held back. Returns the disk's size, bytes.
  Result<std::uint64_t> finish() {
    INGOT_TRY(flush_zeros());
    return position_;
  }

 private:
  /// The scan unit at `offset` of the slice; units are aligned in the slice.
  static std::span<const std::byte> unit(std::span<const std::byte> bytes, std::size_t offset) {
    return bytes.subspan(offset, std::min(kScanUnit, bytes.size() - offset));
  }

  Result<void> write(Slice data) {
    if (data.empty()) return {};
    INGOT_TRY(flush_zeros());
    const auto size = data.size();
    INGOT_TRY(sink_.write(position_, std::move(data)));
    position_ += size;
    return {};
  }

  /// The zero run that ends at position_.
  Result<void> flush_zeros() {
    if (zeros_ == 0) return {};
    INGOT_TRY(sink_.zero(position_ - zeros_, zeros_));
    zeros_ = 0;
    return {};
  }

  ExtentSink& sink_;
  std::uint64_t position_ = 0;  // guest bytes seen
  std::uint64_t zeros_ = 0;     // the last of them, held back
};

}  // namespace

Result<std::uint64_t> decode_raw(ByteStream& in, const DecodeContext& context) {
  const auto announced = in.size();
  if (RangeReader* const ranges = in.ranges(); ranges != nullptr)
    context.sink.look_ahead([ranges](std::uint64_t offset, std::span<std::byte> bytes) {
      return ranges->read(offset, bytes);
    });
  INGOT_TRY(context.sink.begin(announced));
  if (announced) context.counters.virtual_size = static_cast<std::int64_t>(*announced);
  RawDecoder decoder(context.sink);
  for (;;) {
    if (context.job.token().stop_requested())
      return fail(Errc::cancelled, "decoding the raw image: cancelled");
    INGOT_TRY_ASSIGN(const Slice slice, in.next());
    if (slice.empty()) break;
    INGOT_TRY(decoder.take(slice));
  }
  INGOT_TRY_ASSIGN(const std::uint64_t size, decoder.finish());
  if (announced && size != *announced)
    return fail(size < *announced ? Errc::image_truncated : Errc::image_corrupt,
                fmt::format("decoding the raw image: {} bytes were announced and {} came",
                            *announced, size),
                "check that the image was uploaded completely");
  context.counters.virtual_size = static_cast<std::int64_t>(size);
  return size;
}

}  // namespace ingot::imaging
