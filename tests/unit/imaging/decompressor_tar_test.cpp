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
  run("echo hi > " + dir_.path("README"));
  run("cd " + dir_.path("") + " && fallocate --dig-holes disk.img && truncate -s 3000000 disk.img");
  image_.resize(3'000'000);
  for (const std::string format :
       {"--format=gnu", "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0"}) {
    const Bytes file = tar("-c -f - --sparse " + format + " README disk.img README");
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

TEST_F(Tar, MayHoldWhatIsNoImageBeforeAndBehindTheImage) {
  run("cd " + dir_.path("") +
      " && mkdir dir && : > nothing && ln -s disk.img link && ln disk.img hard && echo hi > README "
      "&& sha256sum disk.img > SHA256SUMS && head -c 300 /dev/urandom > signature && yes 'a "
      "licence' | head -c 65535 > LICENSE && "
      "printf '\\0\\005\\026\\007\\0\\002\\0\\0Mac OS X' > ._disk.img && "
      // A resource fork may be large; its magic number tells.
      "cp ._disk.img fork && truncate -s 9000000 fork && "
      "printf '\\0\\0\\0\\001Bud1\\0' > .DS_Store && "
      "printf '\\001\\002' > ._odd && "
      "echo long > " +
      std::string(200, 'n'));
  const std::string beside =
      " dir nothing link README SHA256SUMS LICENSE signature ._disk.img fork .DS_Store ._odd " +
      std::string(200, 'n') + " ";
  for (const std::string format : {"gnu", "posix"}) {
    for (const std::string& entries : {beside + "disk.img", "disk.img hard" + beside,
                                       std::string("README disk.img SHA256SUMS")}) {
      const Bytes file = tar("-c -f - --format=" + format + " " + entries);
      for (const std::size_t slice_size : {4096, 1024 * 1024}) {
        const auto result = unwrap_all(file, slice_size);
        ASSERT_TRUE(result) << entries << ": " << result.error().message();
        EXPECT_EQ(result->size, image_.size());
        EXPECT_TRUE(result->bytes == image_) << entries;
      }
    }
  }
}

TEST_F(Tar, MustHoldOneImage) {
  run("cd " + dir_.path("") +
      " && mkdir empty && : > nothing && ln -s disk.img link && mkfifo fifo && echo hi > README && "
      "cp nothing \"$(printf 'evil\\033[2Jname')\" && cp disk.img other.img && "
      "yes 'a text' | head -c 65536 > long-text && head -c 300 /dev/urandom > noise && "
      // Small, and an image by content: a qcow2 header; a descriptor, which is a text as well; a
      // disk whose name says that it is macOS's.
      "qemu-img create -q -f qcow2 -o cluster_size=512 small.qcow2 1M && "
      "test $(stat -c %s small.qcow2) -lt 65536 && "
      "qemu-img create -q -f vmdk -o subformat=monolithicFlat disk.vmdk 1M && "
      "truncate -s 40960 ._disk && echo 'start=1, type=83' | sfdisk -q ._disk");
  const struct {
    const char* entries;
    const char* said;
  } cases[] = {
      {"empty", "holds no file"},
      {"nothing", "no disk image: 'nothing' is empty"},
      {"link", "no disk image: 'link' is a symbolic link"},
      {"README", "no disk image: 'README' is a text"},
      {"README link nothing", "'README' is a text, and so on (3 entries)"},
      {"disk.img other.img", "more than one image: 'disk.img' and 'other.img'"},
      {"README disk.img link other.img", "more than one image: 'disk.img' and 'other.img'"},
      {"disk.img long-text", "more than one image: 'disk.img' and 'long-text'"},
      {"noise", "no disk image: 'noise' is small, and no image"},
      // Whoever extracts these gets the second one of that name.
      {"disk.img ./disk.img", "has 'disk.img' twice"},
      {"disk.img --transform=s,README,disk.img, README", "has 'disk.img' twice"},
      {"disk.img --transform=s,link,.//disk.img, link", "has 'disk.img' twice"},
      {"disk.img small.qcow2", "more than one image: 'disk.img' and 'small.qcow2'"},
      {"disk.vmdk disk-flat.vmdk", "more than one image: 'disk.vmdk' and 'disk-flat.vmdk'"},
      {"._disk disk.img", "more than one image: '._disk' and 'disk.img'"},
      {"fifo", "'fifo' is a FIFO"},
      {"disk.img fifo", "'fifo' is a FIFO"},
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
  EXPECT_THAT(unwrap_error(tar("-c -f - disk.img device")).message(),
              HasSubstr("'device' is a device: it is of a file system"));
}

// One block is what everybody looks at before a disk is touched.
TEST_F(Tar, WithASecondImageBehindAFirstBlockNeverGivesThatBlock) {
  run("cd " + dir_.path("") +
      " && head -c 1048576 /dev/urandom > one && cp disk.img two && head -c 300000 one > less");
  for (const std::string first : {"one", "less"}) {
    auto result =
        imaging::unwrap(std::make_unique<MemoryStream>(tar("-c -f - " + first + " two")), {});
    ASSERT_TRUE(result);
    const auto slice = result->stream->next();
    ASSERT_FALSE(slice) << first;
    EXPECT_THAT(slice.error().message(), HasSubstr("'" + first + "' and 'two'"));
  }
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
  if (type == '1') std::snprintf(block + 157, 100, "disk.img");
  std::copy_n("ustar\00000", 8, block + 257);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(block + 148, 8, "%06o", sum);
  return bytes_of(std::string_view(block, sizeof block));
}

TEST_F(Tar, TakesAHardLinkForAnotherNameUnlessItHasContents) {
  const Bytes end(1024);
  const auto alone = unwrap_error(header("hard", 0, '1') + end);
  EXPECT_THAT(alone.message(), HasSubstr("no disk image: 'hard' is a hard link"));
  // pax: "hard links may be followed by the contents of the file".
  const std::string record = "12 comment=\n";
  const Bytes pax = header("pax", record.size(), 'x') + bytes_of(record) + Bytes(500);
  const Bytes contents = payload(200 * 512);
  const Bytes image = header("disk.img", contents.size(), '0') + contents;
  const auto second =
      unwrap_error(image + pax + header("hard", contents.size(), '1') + contents + end);
  EXPECT_THAT(second.message(), HasSubstr("more than one image: 'disk.img' and 'hard'"));
  const auto whole = unwrap_all(image + header("hard", 0, '1') + end);
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_TRUE(whole->bytes == contents);
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
