// decode_raw(): the same bytes, zeros as zeros, few and large extents, and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "imaging/decoders.hpp"
#include "imaging/zero_scan.hpp"
#include "tests/support/decode.hpp"
#include "tests/support/memory_stream.hpp"

namespace ingot::test {
namespace {

using imaging::decode_raw;

Bytes noise(std::size_t size) {
  std::mt19937_64 random(7);
  Bytes bytes(size);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random() | 1); });
  return bytes;
}

/// Runs the decoder and keeps the sink, for tests about extents rather than bytes.
struct RawRun {
  explicit RawRun(Bytes image, MemoryStreamOptions options = {},
                  std::optional<std::uint64_t> target = {})
      : stream(std::move(image), std::move(options)), sink(target) {}
  Result<std::uint64_t> operator()() {
    return decode_raw(stream, {sink, scratch, counters, listener, job, 32 * MiB, 1});
  }
  MemoryStream stream;
  RecordingSink sink;
  MemoryScratch scratch;
  ProgressCounters counters;
  SilentListener listener;
  FirstError job;
};

TEST(RawDecoder, GivesTheSameBytesWhateverTheSlices) {
  std::mt19937 random(42);
  Bytes image = noise(3 * 1024 * 1024 + 4711);
  for (int i = 0; i < 12; ++i) {
    const auto from = random() % image.size();
    const auto length = std::min<std::size_t>(random() % 600'000, image.size() - from);
    std::fill_n(image.begin() + static_cast<long>(from), length, std::byte{0});
  }
  for (const std::size_t slice_size : {7, 512, 4096, 100'000, 1024 * 1024}) {
    for (const bool known : {true, false}) {
      DecodeOptions options;
      options.stream.slice_size = slice_size;
      options.stream.known_size = known;
      const auto decoded = decode(decode_raw, image, options);
      ASSERT_TRUE(decoded) << decoded.error().message();
      EXPECT_EQ(decoded->virtual_size, image.size());
      EXPECT_TRUE(decoded->disk == image) << "slices of " << slice_size;
    }
  }
}

TEST(RawDecoder, JoinsAHoleAcrossSlices) {
  Bytes image(16 * 1024 * 1024);
  const Bytes data = noise(64 * 1024);
  std::copy(data.begin(), data.end(), image.begin());
  std::copy(data.begin(), data.end(), image.end() - 64 * 1024);
  RawRun run(image);
  ASSERT_EQ(*run(), image.size());
  EXPECT_EQ(run.sink.writes(), 2U);
  EXPECT_EQ(run.sink.zeros(), 1U);
  EXPECT_EQ(run.sink.bytes_written(), 128U * 1024);
  EXPECT_TRUE(run.sink.image() == image);
  EXPECT_EQ(run.counters.virtual_size, static_cast<std::int64_t>(image.size()));
}

TEST(RawDecoder, WritesWholeSlicesAndShortHolesAsData) {
  Bytes image = noise(4 * 1024 * 1024);
  std::fill_n(image.begin() + 300'000, 200'000, std::byte{0});  // not worth an operation
  std::fill_n(image.begin() + 2 * 1024 * 1024 + 128 * 1024, 512 * 1024, std::byte{0});
  RawRun run(image);
  ASSERT_EQ(*run(), image.size());
  EXPECT_EQ(run.sink.zeros(), 1U);
  EXPECT_EQ(run.sink.bytes_zeroed(), 512U * 1024);
  EXPECT_EQ(run.sink.writes(), 5U) << "one a slice, and one more around the hole";
  EXPECT_TRUE(run.sink.image() == image);
}

TEST(RawDecoder, ADiskOfZerosIsOneExtent) {
  RawRun run(Bytes(5'000'001));
  ASSERT_EQ(*run(), 5'000'001U);
  EXPECT_EQ(run.sink.writes(), 0U);
  EXPECT_EQ(run.sink.zeros(), 1U);
  EXPECT_TRUE(run.sink.complete(5'000'001));
}

TEST(RawDecoder, SaysTheSizeBeforeTheFirstExtentWhereItIsKnown) {
  RawRun known(noise(1'000'000));
  ASSERT_TRUE(known());
  EXPECT_EQ(known.sink.virtual_size(), 1'000'000U);
  MemoryStreamOptions options;
  options.known_size = false;
  RawRun unknown(noise(1'000'000), options);
  ASSERT_TRUE(unknown());
  EXPECT_EQ(unknown.sink.virtual_size(), std::nullopt);
  EXPECT_EQ(unknown.counters.virtual_size, 1'000'000);
}

TEST(RawDecoder, StopsWhereTheTargetEnds) {
  RawRun announced(noise(3'000'000), {}, 2'000'000);
  EXPECT_EQ(announced().error().code(), Errc::device_too_small);
  MemoryStreamOptions options;
  options.known_size = false;
  RawRun data(noise(8'000'000), options, 2'000'000);
  EXPECT_EQ(data().error().code(), Errc::image_too_large);
  EXPECT_LE(data.stream.position(), 3U * 1024 * 1024) << "read on past the target's end";
  // A bomb of zeros has to end there, too, although zeros are held back to be joined.
  RawRun zeros(Bytes(64 * 1024 * 1024), options, 2'000'000);
  EXPECT_EQ(zeros().error().code(), Errc::image_too_large);
  EXPECT_LE(zeros.stream.position(), 17U * 1024 * 1024);
}

/// A stream whose size is not the one it announces.
class Liar final : public imaging::ByteStream {
 public:
  Liar(Bytes bytes, std::uint64_t announced) : in_(std::move(bytes)), announced_(announced) {}
  Result<Slice> next() override { return in_.next(); }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return announced_; }
  [[nodiscard]] imaging::RangeReader* ranges() override { return nullptr; }

 private:
  MemoryStream in_;
  std::uint64_t announced_;
};

TEST(RawDecoder, NoticesAStreamOfAnotherLength) {
  for (const std::uint64_t announced : {2'000'001, 5'000'000, 1'999'999, 0}) {
    Liar stream(noise(2'000'000), announced);
    RawRun run({});
    const auto size = decode_raw(
        stream, {run.sink, run.scratch, run.counters, run.listener, run.job, 32 * MiB, 1});
    ASSERT_FALSE(size);
    EXPECT_EQ(size.error().code(),
              announced > 2'000'000 ? Errc::image_truncated : Errc::image_corrupt);
  }
}

TEST(RawDecoder, PassesTheSourcesErrorOnAndStopsWithTheJob) {
  MemoryStreamOptions options;
  options.fail_at = 1'500'000;
  RawRun failing(noise(3'000'000), options);
  EXPECT_EQ(failing().error().code(), Errc::source_truncated);
  RawRun stopped(noise(3'000'000));
  stopped.job.report(Error(Errc::write_io, "the disk failed"));
  EXPECT_EQ(stopped().error().code(), Errc::cancelled);
  EXPECT_EQ(stopped.stream.position(), 0U);
}

TEST(ZeroScan, FindsASingleByteAnywhere) {
  for (const std::size_t size : {1, 2, 15, 16, 17, 31, 33, 64, 100}) {
    Bytes bytes(size);
    EXPECT_TRUE(imaging::all_zero(bytes));
    for (std::size_t at = 0; at < size; ++at) {
      bytes[at] = std::byte{0x80};
      EXPECT_FALSE(imaging::all_zero(bytes)) << at << " of " << size;
      bytes[at] = std::byte{0};
    }
  }
  EXPECT_TRUE(imaging::all_zero({}));
}

}  // namespace
}  // namespace ingot::test
