// Odd images that qemu-img reads, and what it makes of them: so must we, however the file comes in.
// (tests/differential looks for more of them; here is what it found.)
#include <gtest/gtest.h>

#include "tests/support/command.hpp"
#include "tests/support/decode.hpp"
#include "tests/support/qcow2_builder.hpp"

namespace ingot::test {
namespace {

using File = std::vector<std::byte>;

std::uint64_t get(const File& file, std::uint64_t at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | std::to_integer<unsigned>(file[at + static_cast<std::size_t>(i)]);
  return value;
}
void put(File& file, std::uint64_t at, std::uint64_t value, int bytes) {
  detail::put_be(file, at, value, bytes);
}

/// What qemu-img makes of it.
File disk_of_qemu(const File& image) {
  const TempDir dir;
  write_file(dir.path("a.qcow2"), image);
  run("qemu-img convert -f qcow2 -O raw " + dir.path("a.qcow2") + " " + dir.path("a.raw"));
  return read_file(dir.path("a.raw"));
}

void expect_as_qemu(const File& image) {
  const File disk = disk_of_qemu(image);
  ASSERT_FALSE(disk.empty());
  for (const bool known_size : {true, false})
    for (const std::size_t hold_limit : {std::size_t{4 * MiB}, std::size_t{4 * KiB}}) {
      SCOPED_TRACE(testing::Message() << "size known: " << known_size << ", hold " << hold_limit);
      DecodeOptions options;
      options.stream.known_size = known_size;
      options.stream.ranges = known_size;
      options.hold_limit = hold_limit;
      options.scratch = 64 * MiB;
      const auto decoded = decode(imaging::decode_qcow2, image, options);
      ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
      EXPECT_TRUE(decoded->disk == disk);
    }
}

// An image of four clusters of 64 KiB: header, L1 table, an L2 table, and one cluster of data of
// which `length` bytes are in the file; the disk is 1 MiB.
constexpr std::uint64_t kCluster = 65536;
File image_of_one_cluster(std::uint64_t entry, std::size_t length) {
  File file(3 * kCluster + length, std::byte{0x55});
  std::fill_n(file.begin(), 3 * kCluster, std::byte{0});
  put(file, 0, 0x514649fb, 4);
  put(file, 4, 3, 4);
  put(file, 20, 16, 4);
  put(file, 24, 1 << 20, 8);
  put(file, 36, 1, 4);
  put(file, 40, kCluster, 8);
  put(file, 48, kCluster, 8);
  put(file, 56, 1, 4);
  put(file, 96, 4, 4);
  put(file, 100, 112, 4);
  put(file, kCluster, 2 * kCluster | 1ULL << 63, 8);
  put(file, 2 * kCluster + 8 * 3, entry, 8);
  return file;
}
File image_of_compressed(const File& stream, bool zstd) {
  const std::uint64_t sectors = (stream.size() - 1) / 512;
  File file = image_of_one_cluster(1ULL << 62 | sectors << 54 | 3 * kCluster, stream.size());
  std::copy(stream.begin(), stream.end(), file.begin() + 3 * kCluster);
  if (zstd) {
    put(file, 72, 8, 8);
    put(file, 104, 1, 1);
  }
  return file;
}
File pattern(std::size_t size) {
  File bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i / 100 + i % 7);
  return bytes;
}

TEST(Qcow2AsQemu, AShortLastClusterEndsInZeros) {
  for (const std::size_t length : {1UL, 512UL, 700UL, 65535UL}) {
    SCOPED_TRACE(length);
    expect_as_qemu(image_of_one_cluster(3 * kCluster | 1ULL << 63, length));
  }
}

// The last of several clusters that follow each other in the file and on the disk.
TEST(Qcow2AsQemu, AShortLastClusterOfARunEndsInZeros) {
  File file = image_of_one_cluster(3 * kCluster, 3 * kCluster - 1000);
  put(file, 2 * kCluster + 8 * 4, 4 * kCluster, 8);
  put(file, 2 * kCluster + 8 * 5, 5 * kCluster, 8);
  expect_as_qemu(file);
}

TEST(Qcow2AsQemu, AShortLastClusterWithSubclustersEndsInZeros) {
  File file = image_of_one_cluster(0, 5000);
  put(file, 72, 16, 8);
  put(file, 2 * kCluster + 16 * 2, 3 * kCluster, 8);
  put(file, 2 * kCluster + 16 * 2 + 8, 0x80010007, 8);  // subclusters 0 to 2, 16 and 31
  expect_as_qemu(file);
}

// But one that is not there at all is missing, and a message says where it would begin.
TEST(Qcow2AsQemu, AClusterThatBeginsAtTheEndIsMissing) {
  File file = image_of_one_cluster(3 * kCluster, kCluster - 512);
  put(file, 2 * kCluster + 8 * 4, 4 * kCluster, 8);
  for (const bool known_size : {true, false}) {
    DecodeOptions options;
    options.stream.known_size = known_size;
    const auto decoded = decode(imaging::decode_qcow2, file, options);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_EQ(decoded.error().code(), known_size ? Errc::image_corrupt : Errc::image_truncated);
    if (!known_size) continue;
    EXPECT_NE(decoded.error().message().find("0x40000, past the end of the file (261632 bytes)"),
              std::string::npos)
        << decoded.error().message();
  }
}

TEST(Qcow2AsQemu, CompressedDataThatTheFilesEndCutsGoesOnInZeros) {
  // Stored without compression, so that what is missing is content: zeros can stand for it.
  File stream(6 + kCluster);
  const File content = pattern(kCluster);
  const auto stored = [&](std::size_t at, std::size_t from, std::uint16_t size, bool last) {
    stream[at] = last ? std::byte{1} : std::byte{0};
    stream[at + 1] = static_cast<std::byte>(size);
    stream[at + 2] = static_cast<std::byte>(size >> 8);
    stream[at + 3] = static_cast<std::byte>(~size);
    stream[at + 4] = static_cast<std::byte>(~size >> 8);
    std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(from), size,
                stream.begin() + static_cast<std::ptrdiff_t>(at + 5));
  };
  stream.resize(10 + kCluster);
  stored(0, 0, 32768, false);
  stored(5 + 32768, 32768, 32768, true);
  File file = image_of_compressed(stream, false);
  expect_as_qemu(file);
  file.resize(file.size() - 3000);
  expect_as_qemu(file);
}

TEST(Qcow2AsQemu, ADeflateStreamThatHoldsMoreThanAClusterIsCut) {
  expect_as_qemu(
      image_of_compressed(detail::deflate_cluster(pattern(kCluster + 900), false), false));
}

TEST(Qcow2AsQemu, AZstdClusterMayBeSeveralFrames) {
  const File content = pattern(kCluster);
  File stream = detail::deflate_cluster({content.begin(), content.begin() + 1000}, true);
  const File rest = detail::deflate_cluster({content.begin() + 1000, content.end()}, true);
  stream.insert(stream.end(), rest.begin(), rest.end());
  expect_as_qemu(image_of_compressed(stream, true));
}

// Of the last L2 table, what lies behind the disk's end is nobody's.
TEST(Qcow2AsQemu, EntriesBehindTheDisksEndAreNotJudged) {
  File file = image_of_one_cluster(3 * kCluster, kCluster);
  put(file, 2 * kCluster + 8 * 16, 0x12200, 8);
  put(file, 2 * kCluster + 8 * 17, 1ULL << 50, 8);
  put(file, 2 * kCluster + 8 * 18, 3 * kCluster, 8);
  expect_as_qemu(file);
}

TEST(Qcow2AsQemu, BitsThatMeanNothingInAnExtendedEntryAreIgnored) {
  File file = image_of_one_cluster(0, kCluster);
  put(file, 72, 16, 8);
  put(file, 2 * kCluster + 16 * 2, 3 * kCluster | 1, 8);  // bit 0: zeros, in plain entries
  put(file, 2 * kCluster + 16 * 2 + 8, 0x0f0f0000f0f0, 8);
  expect_as_qemu(file);

  file = image_of_compressed(detail::deflate_cluster(pattern(kCluster), false), false);
  put(file, 72, 16, 8);
  put(file, 2 * kCluster + 16 * 2, get(file, 2 * kCluster + 8 * 3, 8), 8);
  put(file, 2 * kCluster + 8 * 3, 0, 8);
  put(file, 2 * kCluster + 16 * 2 + 8, 0xff, 8);  // a bitmap of a compressed cluster
  expect_as_qemu(file);
}

// Refused by both, with and without a host cluster.
TEST(Qcow2AsQemu, Version2HasNoZeroClusters) {
  for (const std::uint64_t entry : {std::uint64_t{1}, 3 * kCluster | 1}) {
    SCOPED_TRACE(entry);
    File file = image_of_one_cluster(entry, kCluster);
    expect_as_qemu(file);
    put(file, 4, 2, 4);
    const auto decoded = decode(imaging::decode_qcow2, file);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_NE(
        decoded.error().message().find("L2 entry 3 of the table at 0x20000 is a zero cluster"),
        std::string::npos)
        << decoded.error().message();
  }
}

TEST(Qcow2AsQemu, ABackingFileWithoutANameIsNone) {
  File file = image_of_one_cluster(3 * kCluster, kCluster);
  put(file, 8, 1024, 8);
  expect_as_qemu(file);
}

TEST(Qcow2AsQemu, ExtensionsAreReadToTheirEnd) {
  File file = image_of_one_cluster(3 * kCluster, kCluster);
  put(file, 112, 0x12345678, 4);  // unknown, up to the end of the header's cluster
  put(file, 116, kCluster - 120, 4);
  expect_as_qemu(file);
  put(file, 116, 3, 4);
  put(file, 128, 0xe2792aca, 4);  // a backing format, of no backing file
  put(file, 132, 15, 4);
  put(file, 152, 0, 4);
  put(file, 156, 0xffff, 4);  // the end, with a length too large for anything else: refused
  const auto decoded = decode(imaging::decode_qcow2, file);
  ASSERT_FALSE(decoded.has_value());
  EXPECT_NE(decoded.error().message().find("reaches past the end"), std::string::npos);
  put(file, 156, 100, 4);
  expect_as_qemu(file);
}

// qemu-img reads each of them, for seconds; tests/differential asks it now and then.
TEST(Qcow2AsQemu, AsManySnapshotsAsAnImageCanHave) {
  File file = image_of_one_cluster(3 * kCluster, kCluster);
  const File disk = disk_of_qemu(file);
  put(file, 60, 65536, 4);
  put(file, 64, 4 * kCluster, 8);
  const auto decoded = decode(imaging::decode_qcow2, file);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_TRUE(decoded->disk == disk);
}

}  // namespace
}  // namespace ingot::test
