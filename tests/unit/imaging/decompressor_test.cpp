// unwrap() over files of the real tools: right bytes, or an error; never wrong bytes.
#include "imaging/decompressor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/unit/imaging/wrapping_rig.hpp"

namespace ingot::test {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Format {
  const char* name;
  const char* tool;  // compresses standard input to standard output
  std::size_t magic;
};

class EveryFormat : public ::testing::TestWithParam<Format> {
 protected:
  static Bytes compressed(const Bytes& bytes) { return filtered(bytes, GetParam().tool); }
};

INSTANTIATE_TEST_SUITE_P(Decompressor, EveryFormat,
                         ::testing::Values(Format{"gzip", "gzip -c", 3},
                                           Format{"xz", "xz -1 -c", 6},
                                           Format{"zstd", "zstd -q -c", 4},
                                           Format{"bzip2", "bzip2 -c", 4},
                                           Format{"lz4", "lz4 -q -c", 4}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(EveryFormat, GivesTheBytesBackWhateverTheSlices) {
  const Bytes original = payload(2'300'001);
  const Bytes file = compressed(original);
  for (const auto slice_size : kSliceSizes) {
    const auto result = unwrap_all(file, slice_size);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->compression, GetParam().name);
    EXPECT_EQ(result->size, std::nullopt);
    EXPECT_FALSE(result->ranges);
    EXPECT_TRUE(result->bytes == original) << "slices of " << slice_size;
  }
}

TEST_P(EveryFormat, GivesAWholeNumberOfBlocksBack) {
  const Bytes original = payload(2 * 1024 * 1024);
  const auto result = unwrap_all(compressed(original));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(result->bytes == original);
}

TEST_P(EveryFormat, JoinsMembers) {
  const Bytes first = payload(100'000), second = payload(1'200'000), none;
  const Bytes file =
      compressed(first) + compressed(none) + compressed(second) + compressed(bytes_of("x"));
  for (const auto slice_size : kSliceSizes) {
    const auto result = unwrap_all(file, slice_size);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->bytes == first + second + bytes_of("x")) << "slices of " << slice_size;
  }
}

TEST_P(EveryFormat, RefusesEveryTruncation) {
  const Bytes file = compressed(payload(41'000));
  for (std::size_t length = GetParam().magic; length < file.size();
       length += length < 64 || length + 64 > file.size() ? 1 : 97) {
    const auto error = unwrap_error(Bytes(file.begin(), file.begin() + static_cast<long>(length)));
    ASSERT_EQ(error.code(), Errc::image_compression) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(std::string(GetParam().name) + " data: at byte "));
  }
}

TEST_P(EveryFormat, RefusesATruncatedSecondMember) {
  const Bytes member = compressed(payload(50'000));
  for (std::size_t length = 1; length < 40; ++length) {
    const Bytes file = member + Bytes(member.begin(), member.begin() + static_cast<long>(length));
    EXPECT_EQ(unwrap_error(file, length).code(), Errc::image_compression) << length;
  }
}

TEST_P(EveryFormat, NeverGivesWrongBytes) {
  // One bit of every byte in turn: some flips change nothing that matters (a time stamp), any other
  // must be found.
  Bytes original = payload(42'000);  // text, and 800 bytes of noise
  original.erase(original.begin() + 1'000, original.begin() + 41'200);
  const Bytes file = compressed(original);
  std::size_t refused = 0;
  for (std::size_t at = GetParam().magic; at < file.size(); ++at) {
    Bytes bad = file;
    bad[at] ^= static_cast<std::byte>(1U << (at % 8));
    const auto result = unwrap_all(bad);
    if (!result) {
      ++refused;
      EXPECT_EQ(result.error().code(), Errc::image_compression) << result.error().message();
    } else {
      ASSERT_TRUE(result->bytes == original) << "byte " << at << " of " << file.size();
    }
  }
  EXPECT_GT(refused, file.size() - GetParam().magic - 20);
}

TEST_P(EveryFormat, RefusesAWrongChecksumAtTheEnd) {
  const Bytes file = compressed(payload(150'000));
  for (std::size_t back = 1; back <= 4; ++back) {
    Bytes bad = file;
    bad[bad.size() - back] ^= std::byte{0x10};
    EXPECT_EQ(unwrap_error(bad).code(), Errc::image_compression);
  }
}

TEST_P(EveryFormat, RefusesWhatFollowsTheData) {
  const Bytes file = compressed(payload(150'000));
  const auto other = std::string(GetParam().name) == "gzip" ? "bzip2 -c" : "gzip -c";
  for (const Bytes& garbage :
       {bytes_of("x"), bytes_of("garbage"), Bytes(4096, std::byte{0xff}),
        filtered(bytes_of("y"), other), Bytes(512, std::byte{0}) + bytes_of("x")}) {
    for (const auto slice_size : kSliceSizes) {
      const auto error = unwrap_error(file + garbage, slice_size);
      EXPECT_EQ(error.code(), Errc::image_compression);
      EXPECT_THAT(error.message(), HasSubstr("followed by"));
      EXPECT_THAT(error.message(), HasSubstr("at byte " + std::to_string(file.size()) + " "))
          << error.message();
    }
  }
}

TEST_P(EveryFormat, KnowsPaddingFromGarbage) {
  const Bytes original = payload(150'000);
  const Bytes file = compressed(original);
  const std::string format = GetParam().name;
  for (const std::size_t zeros : {1, 2, 4, 512, 10'240}) {
    const bool allowed = format == "gzip" || (format == "xz" && zeros % 4 == 0);
    const auto result = unwrap_all(file + Bytes(zeros), 512);
    EXPECT_EQ(result.has_value(), allowed) << format << " and " << zeros << " zeros";
    EXPECT_TRUE(!result || result->bytes == original);
    const auto between = unwrap_all(file + Bytes(zeros) + file);
    EXPECT_EQ(between.has_value(), format == "xz" && zeros % 4 == 0);
  }
}

TEST_P(EveryFormat, RefusesAnEmptyPayload) {
  const auto error = unwrap_error(compressed({}));
  EXPECT_EQ(error.code(), Errc::image_compression);
  EXPECT_THAT(error.message(), HasSubstr("holds no data"));
}

TEST_P(EveryFormat, PassesTheSourcesErrorOn) {
  MemoryStreamOptions options;
  options.slice_size = 4096;
  options.fail_at = 30'000;
  auto result =
      imaging::unwrap(std::make_unique<MemoryStream>(compressed(payload(200'000)), options), {});
  if (result) {
    const auto bytes = read_all(*result->stream);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code(), Errc::source_truncated);
    EXPECT_EQ(result->stream->next().error().code(), Errc::source_truncated) << "final";
  } else {
    EXPECT_EQ(result.error().code(), Errc::source_truncated);
  }
}

TEST_P(EveryFormat, StopsAtOnce) {
  // Enough that nobody decodes it to the end in a test: members of 8 MiB of zeros, 64 times over.
  Bytes file;
  const Bytes member = compressed(Bytes(8 * 1024 * 1024));
  for (int i = 0; i < 64; ++i) file.insert(file.end(), member.begin(), member.end());
  std::stop_source stop;
  const auto begun = std::chrono::steady_clock::now();
  {
    // A reader that gives up early: the decoding thread waits for room.
    auto unread = imaging::unwrap(std::make_unique<MemoryStream>(file), {});
    ASSERT_TRUE(unread);
    ASSERT_TRUE(unread->stream->next());
  }
  auto result = imaging::unwrap(std::make_unique<MemoryStream>(file), stop.get_token());
  ASSERT_TRUE(result);
  ASSERT_TRUE(result->stream->next());
  stop.request_stop();
  const auto slice = result->stream->next();
  ASSERT_FALSE(slice);
  EXPECT_EQ(slice.error().code(), Errc::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST(Decompressor, StopsWhileNobodyReads) {
  std::stop_source stop;
  auto result = imaging::unwrap(
      std::make_unique<MemoryStream>(filtered(Bytes(64 * 1024 * 1024), "zstd -q -c")),
      stop.get_token());
  ASSERT_TRUE(result);
  std::vector<Slice> kept;  // all blocks there are: the next call of next() has to wait
  for (int i = 0; i < 8; ++i) kept.push_back(*result->stream->next());
  const std::jthread later([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto slice = result->stream->next();
  ASSERT_FALSE(slice);
  EXPECT_EQ(slice.error().code(), Errc::cancelled);
}

long resident_pages() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return resident;
}

TEST(Decompressor, AGibibyteOfZerosCostsNoMemory) {
  Bytes file;
  const Bytes member = filtered(Bytes(16 * 1024 * 1024), "gzip -c");
  for (int i = 0; i < 64; ++i) file.insert(file.end(), member.begin(), member.end());
  const long before = resident_pages();
  auto result = imaging::unwrap(std::make_unique<MemoryStream>(std::move(file)), {});
  ASSERT_TRUE(result);
  std::uint64_t total = 0;
  for (;;) {
    const auto slice = result->stream->next();
    ASSERT_TRUE(slice) << slice.error().message();
    if (slice->empty()) break;
    total += slice->size();
  }
  EXPECT_EQ(total, 1024 * MiB);
  EXPECT_LT((resident_pages() - before) * ::sysconf(_SC_PAGESIZE), 40L * 1024 * 1024);
}

TEST(Decompressor, PassesAnythingElseThrough) {
  const Bytes original = payload(2'300'000);
  for (const auto slice_size : kSliceSizes) {
    const auto result = unwrap_all(original, slice_size);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->compression, "none");
    EXPECT_EQ(result->size, original.size());
    EXPECT_TRUE(result->ranges);
    EXPECT_TRUE(result->bytes == original);
  }
  for (const std::size_t size : {0, 1, 2, 5, 511, 512, 513})
    EXPECT_TRUE(unwrap_all(Bytes(size, std::byte{0x42}), 3)->bytes == Bytes(size, std::byte{0x42}));
}

TEST(Decompressor, UndoesOneCompressionOnly) {
  const Bytes once = filtered(payload(10'000), "gzip -c");
  const auto result = unwrap_all(filtered(once, "xz -c"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->compression, "xz");
  EXPECT_TRUE(result->bytes == once);
}

TEST(Decompressor, LimitsTheWindowOfZstd) {
  const Bytes original = payload(100'000);
  const Bytes huge = filtered(original, "cat | zstd -q -c --long=28");
  const auto error = unwrap_error(huge);
  EXPECT_EQ(error.code(), Errc::image_compression);
  EXPECT_THAT(error.message(),
              HasSubstr("a window of 256.0 MiB, more than the limit of 128.0 MiB"));
  EXPECT_FALSE(error.advice().empty());
  const auto long_window = unwrap_all(filtered(original, "cat | zstd -q -c --long=27"));
  ASSERT_TRUE(long_window) << long_window.error().message();
  EXPECT_TRUE(long_window->bytes == original);
  EXPECT_THAT(unwrap_error(filtered(original, "cat | zstd -q -c --long=24"), 7, {.window = 8 * MiB})
                  .message(),
              HasSubstr("a window of 16.0 MiB, more than the limit of 8.0 MiB"));
}

TEST(Decompressor, LimitsTheDictionaryOfXz) {
  const Bytes original = payload(100'000);
  const Bytes file = filtered(original, "xz -c --lzma2=preset=0,dict=32MiB");
  EXPECT_TRUE(unwrap_all(file).has_value());
  const auto error = unwrap_error(file, 4096, {.window = 16 * MiB});
  EXPECT_EQ(error.code(), Errc::image_compression);
  EXPECT_THAT(error.message(), HasSubstr("a dictionary of about 32"));
  EXPECT_THAT(error.message(), HasSubstr("more than the limit of 16.0 MiB"));
}

TEST(Decompressor, ChecksEveryCheckOfXz) {
  const Bytes original = payload(60'000);
  for (const std::string check : {"crc32", "crc64", "sha256"}) {
    const Bytes file = filtered(original, "xz -0 -c --check=" + check);
    EXPECT_TRUE(unwrap_all(file)->bytes == original);
    Bytes bad = file;
    bad[bad.size() - 40] ^= std::byte{1};  // in the check or the padding before the index
    EXPECT_EQ(unwrap_error(bad).code(), Errc::image_compression) << check;
  }
  EXPECT_TRUE(unwrap_all(filtered(original, "xz -0 -c --check=none"))->bytes == original);
}

TEST(Decompressor, ReadsLz4OfEveryKind) {
  const Bytes original = payload(700'000);
  for (const std::string options :
       {"-B4 -BD", "-B7 -BI -BX", "-9 --content-size", "--no-frame-crc"}) {
    const auto result = unwrap_all(filtered(original, "lz4 -q -c " + options), 512);
    ASSERT_TRUE(result) << options << ": " << result.error().message();
    EXPECT_TRUE(result->bytes == original) << options;
  }
}

TEST(Decompressor, LooksPastSkippableFrames) {
  const Bytes skippable = bytes_of(std::string("\x5e\x2a\x4d\x18\x05\0\0\0hello", 13));
  const Bytes original = payload(10'000);
  for (const std::string format : {"zstd", "lz4"}) {
    const Bytes frame = filtered(original, format + " -q -c");
    for (const auto slice_size : kSliceSizes) {
      const auto result = unwrap_all(skippable + skippable + frame + skippable + frame, slice_size);
      ASSERT_TRUE(result) << result.error().message();
      EXPECT_EQ(result->compression, format);
      EXPECT_TRUE(result->bytes == original + original);
    }
    EXPECT_EQ(
        unwrap_error(skippable + frame + Bytes(skippable.begin(), skippable.end() - 1)).code(),
        Errc::image_compression);
  }
  EXPECT_EQ(unwrap_error(skippable).code(), Errc::image_compression) << "holds no data";
}

std::uint32_t crc32_of(const Bytes& bytes) {
  std::uint32_t crc = ~0U;
  for (const auto byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
  }
  return ~crc;
}

TEST(Decompressor, ReadsEveryGzipHeaderField) {
  // RFC 1952: FEXTRA, FNAME, FCOMMENT and FHCRC, in front of what gzip made.
  const Bytes original = payload(30'000);
  const Bytes plain = filtered(original, "gzip -n -c");
  const Bytes body(plain.begin() + 10, plain.end());
  Bytes header =
      bytes_of(std::string("\x1f\x8b\x08\x1e\1\2\3\4\0\3\x06\0extra!name\0comment\0", 31));
  const auto crc = crc32_of(header) & 0xffff;
  const Bytes stated = {static_cast<std::byte>(crc & 0xff), static_cast<std::byte>(crc >> 8)};
  for (const auto slice_size : kSliceSizes) {
    const auto result = unwrap_all(header + stated + body, slice_size);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->bytes == original);
    EXPECT_EQ(
        unwrap_error(header + Bytes{stated[0], stated[1] ^ std::byte{1}} + body, slice_size).code(),
        Errc::image_compression);
  }
}

}  // namespace
}  // namespace ingot::test
