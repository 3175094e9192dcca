// Tars that hold a disk image, made by GNU tar, plain and compressed; and those that do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <stop_token>

#include "tests/unit/imaging/wrapping_rig.hpp"

namespace ingot::test {
namespace {

using ::testing::HasSubstr;

/// A directory to make tars in, with an image that starts and ends with data and has a hole.
class Tar : public ::testing::Test {
 protected:
  Tar() : image_(payload(1'500'000)) {
    std::fill(image_.begin() + 200'000, image_.begin() + 1'300'000, std::byte{0});
    write_file(dir_.path("disk.img"), image_);
  }
  /// The tar that `tar <arguments>` makes on its standard output.
  Bytes tar(const std::string& arguments) {
    run("cd " + dir_.path("") + " && tar " + arguments +
        " > ../$(basename $PWD).tar && mv ../$(basename $PWD).tar made.tar");
    auto made = read_file(dir_.path("made.tar"));
    std::filesystem::remove(dir_.path("made.tar"));
    return made;
  }

  TempDir dir_;
  Bytes image_;
};

TEST_F(Tar, OfEveryFormatGivesItsFile) {
  run("mkdir -p " + dir_.path("a/b") + " && cp " + dir_.path("disk.img") + " " + dir_.path("a/b/"));
  for (const std::string arguments : {
           "-c -f - --format=gnu disk.img",
           "-c -f - --format=ustar disk.img",
           "-c -f - --format=posix disk.img",
           "-c -f - --format=gnu a",
           "-c -f - --format=posix --pax-option=comment=hello a",
           "-c -b 1 -f - --format=ustar disk.img",
       }) {
    const Bytes file = tar(arguments);
    for (const std::size_t slice_size : {11, 512, 1024 * 1024}) {
      const auto result = unwrap_all(file, slice_size);
      ASSERT_TRUE(result) << arguments << ": " << result.error().message();
      EXPECT_EQ(result->compression, "none+tar");
      EXPECT_EQ(result->size, image_.size());
      EXPECT_FALSE(result->ranges);
      EXPECT_TRUE(result->bytes == image_) << arguments << ", slices of " << slice_size;
    }
  }
}

TEST_F(Tar, WithASparseFileGivesItsHolesBack) {
  run("cd " + dir_.path("") + " && fallocate --dig-holes disk.img && truncate -s 3000000 disk.img");
  image_.resize(3'000'000);
  for (const std::string format :
       {"--format=gnu", "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0"}) {
    const Bytes file = tar("-c -f - --sparse " + format + " disk.img");
    EXPECT_LT(file.size(), 1'000'000U) << "the tar is not sparse: this tests nothing";
    for (const auto slice_size : kSliceSizes) {
      const auto result = unwrap_all(file, slice_size);
      ASSERT_TRUE(result) << format << ": " << result.error().message();
      EXPECT_EQ(result->size, image_.size());
      EXPECT_TRUE(result->bytes == image_) << format << ", slices of " << slice_size;
    }
  }
}

TEST_F(Tar, MayBeCompressed) {
  const Bytes file = tar("-c -f - disk.img");
  for (const std::string format : {"gzip", "xz -0", "zstd -q", "bzip2 -1", "lz4 -q"}) {
    const Bytes compressed = filtered(file, format + " -c");
    const auto result = unwrap_all(compressed, 4096);
    ASSERT_TRUE(result) << format << ": " << result.error().message();
    EXPECT_EQ(result->compression, format.substr(0, format.find(' ')) + "+tar");
    EXPECT_TRUE(result->bytes == image_);
    // The checksum stands behind the archive's end, and is checked all the same.
    Bytes bad = compressed;
    bad[bad.size() - 2] ^= std::byte{1};
    EXPECT_EQ(unwrap_error(bad).code(), Errc::image_compression) << format;
    EXPECT_EQ(unwrap_error(Bytes(compressed.begin(), compressed.end() - 3)).code(),
              Errc::image_compression)
        << format;
  }
}

TEST_F(Tar, MustHoldOneFileAndNothingElse) {
  run("cd " + dir_.path("") +
      " && mkdir empty && : > nothing && ln -s disk.img link && ln disk.img hard && mkfifo fifo && "
      "cp nothing \"$(printf 'evil\\033[2Jname')\"  && echo hi > README");
  const struct {
    const char* entries;
    const char* said;
  } cases[] = {
      {"empty", "holds no file"},
      {"nothing", "'nothing' is empty"},
      {"link", "'link' is a symbolic link"},
      {"fifo", "'fifo' is a FIFO"},
      {"README disk.img", "more than one file: 'README' and 'disk.img'"},
      {"disk.img README", "more than one file: 'disk.img' and 'README'"},
      {"disk.img link", "more than one file: 'disk.img' and 'link'"},
      {"disk.img hard", "more than one file: 'disk.img' and 'hard'"},
      {"\"$(printf 'evil\\033[2Jname')\"", "'evil\\x1b[2Jname' is empty"},
      {"-T /dev/null", ""},
  };
  for (const auto& one : cases) {
    for (const std::string format : {"gnu", "posix"}) {
      const Bytes file = tar("-c -f - --format=" + format + " " + one.entries);
      if (*one.said == '\0') {  // nothing but zeros: no tar that anybody could recognise
        EXPECT_EQ(unwrap_all(file)->compression, "none");
        continue;
      }
      const auto error = unwrap_error(file);
      EXPECT_EQ(error.code(), Errc::image_archive);
      EXPECT_THAT(error.message(), HasSubstr(one.said));
    }
  }
  run("mknod " + dir_.path("device") + " b 7 0");
  EXPECT_THAT(unwrap_error(tar("-c -f - device")).message(), HasSubstr("'device' is a device"));
}

TEST_F(Tar, MustBeWholeAndEndThere) {
  const Bytes file = tar("-c -b 1 -f - --format=ustar disk.img");
  const std::size_t end = 512 + 1'500'160;  // header and padded content: the end marker's place
  ASSERT_EQ(file.size(), end + 1024);
  for (const std::size_t length : {std::size_t{512}, std::size_t{513}, std::size_t{700'000},
                                   end - 512, end - 1, end, end + 1}) {
    const auto error = unwrap_error(Bytes(file.begin(), file.begin() + static_cast<long>(length)));
    EXPECT_EQ(error.code(), Errc::image_archive) << length << ": " << error.message();
  }
  // One of the two zero blocks is enough for GNU tar and is enough here.
  EXPECT_TRUE(unwrap_all(Bytes(file.begin(), file.end() - 512)).has_value());
  EXPECT_TRUE(unwrap_all(file + Bytes(100'000)).has_value());
  for (const auto slice_size : kSliceSizes) {
    const auto error = unwrap_error(file + Bytes(3'000) + bytes_of("x") + Bytes(99), slice_size);
    EXPECT_EQ(error.code(), Errc::image_archive);
    EXPECT_THAT(error.message(), HasSubstr("followed by other data"));
  }
  EXPECT_EQ(unwrap_error(file + file).code(), Errc::image_archive) << "two archives";
}

TEST_F(Tar, IsNotADiskWithTheSameWord) {
  Bytes disk(4096, std::byte{0});
  const Bytes header = tar("-c -f - --format=ustar disk.img");
  std::copy_n(header.begin(), 512, disk.begin());
  disk[510] = std::byte{0x55};
  disk[511] = std::byte{0xaa};
  EXPECT_EQ(unwrap_all(disk)->compression, "none");
  Bytes wrong_sum = header;
  wrong_sum[0] ^= std::byte{1};
  EXPECT_EQ(unwrap_all(wrong_sum)->compression, "none");
  EXPECT_EQ(unwrap_all(tar("-c -f - --format=v7 disk.img"))->compression, "none");
}

TEST_F(Tar, PassesTheSourcesErrorOn) {
  MemoryStreamOptions options;
  options.slice_size = 4096;
  options.fail_at = 700'000;
  auto result =
      imaging::unwrap(std::make_unique<MemoryStream>(tar("-c -f - disk.img"), options), {});
  ASSERT_TRUE(result);
  const auto bytes = read_all(*result->stream);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Errc::source_truncated);
}

TEST_F(Tar, StopsWhenAsked) {
  std::stop_source stop;
  auto result =
      imaging::unwrap(std::make_unique<MemoryStream>(tar("-c -f - disk.img")), stop.get_token());
  ASSERT_TRUE(result);
  std::vector<Slice> kept;
  stop.request_stop();
  Result<Slice> slice = Slice();
  do slice = result->stream->next();
  while (slice && !slice->empty());
  ASSERT_FALSE(slice);
  EXPECT_EQ(slice.error().code(), Errc::cancelled);
}

/// A tar header block with its checksum.
Bytes header(const std::string& name, std::size_t size, char type) {
  char block[512] = {};
  std::snprintf(block, 100, "%s", name.c_str());
  std::snprintf(block + 100, 8, "%07o", 0644U);
  std::snprintf(block + 108, 8, "%07o", 0U);
  std::snprintf(block + 116, 8, "%07o", 0U);
  std::snprintf(block + 124, 12, "%011zo", size);
  std::snprintf(block + 136, 12, "%011o", 0U);
  std::fill_n(block + 148, 8, ' ');
  block[156] = type;
  std::copy_n("ustar\00000", 8, block + 257);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(block + 148, 8, "%06o", sum);
  return bytes_of(std::string_view(block, sizeof block));
}

TEST_F(Tar, CannotExhaustMemoryWithASparseMap) {
  // GNU sparse format 1.0: the map stands in front of the data, as lines of decimal numbers, and
  // may claim any length.
  std::string pax;
  for (const std::string line : {"GNU.sparse.major=1\n", "GNU.sparse.minor=0\n",
                                 "GNU.sparse.name=disk\n", "GNU.sparse.realsize=99999999\n"}) {
    const auto length = line.size() + 4;  // two digits, a blank, and the record's own
    pax += (length < 100 ? std::to_string(line.size() + 3) : "") + " " + line;
  }
  std::string map = "50000000\n";
  for (int i = 0; i < 2'000'000; ++i) map += "0\n0\n";
  const Bytes padding(512 - pax.size() % 512);
  const Bytes file = header("pax", pax.size(), 'x') + bytes_of(pax) + padding +
                     header("disk", 1'000'000'000, '0') + bytes_of(map);
  const auto error = unwrap_error(file);
  EXPECT_EQ(error.code(), Errc::image_archive);
  EXPECT_THAT(error.message(), HasSubstr("larger than 4 MiB")) << error.message();
}

TEST_F(Tar, WithNonsenseInsideIsAnErrorOrTheFile) {
  Bytes file = tar("-c -b 1 -f - --format=posix --sparse disk.img");
  std::mt19937 random(99);
  for (int round = 0; round < 300; ++round) {
    Bytes bad = file;
    for (int flips = 0; flips < 4; ++flips) bad[random() % 2048] = static_cast<std::byte>(random());
    (void)unwrap_all(bad, 4096);  // neither a crash nor a hang
  }
}

}  // namespace
}  // namespace ingot::test
