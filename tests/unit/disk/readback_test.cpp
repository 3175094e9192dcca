// What was written is read back from real loop devices and files, whose backing files are damaged
// behind the writer's back. Needs root.
#include "disk/readback.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "disk/core/units.hpp"
#include "disk/crc64.hpp"
#include "disk/device_writer.hpp"
#include "disk/target_scan.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// --- The checksum -------------------------------------------------------------------------------

TEST(Crc64, IsEcma182) {
  const char* text = "123456789";  // the check value of CRC-64/ECMA-182 in the usual catalogues
  EXPECT_EQ(disk::crc64(std::as_bytes(std::span(text, 9))), 0x6C40DF5F0B497347U);
}

TEST(Crc64, IsPutTogetherFromItsParts) {
  const Bytes whole = random_bytes(100'000, 1);
  const auto all = std::span(whole);
  for (const std::size_t cut : {1U, 7U, 512U, 4096U, 33'333U, 99'999U})
    EXPECT_EQ(disk::crc64(all),
              disk::crc64_followed_by(disk::crc64(all.first(cut)), all.size() - cut) ^
                  disk::crc64(all.subspan(cut)))
        << cut;
  Bytes padded = whole;
  padded.resize(whole.size() + 70'000);
  EXPECT_EQ(disk::crc64(padded), disk::crc64_followed_by(disk::crc64(all), 70'000));
  EXPECT_EQ(disk::crc64(Bytes(12'345)), 0U);
}

TEST(BlockSums, TakeNoMoreThanFourMiBForAnyDisk) {
  EXPECT_EQ(disk::BlockSums(1).block_bytes(), 1 * MiB);
  EXPECT_EQ(disk::BlockSums(511 * GiB).block_bytes(), 1 * MiB);
  EXPECT_EQ(disk::BlockSums(16 * 1024 * GiB).block_bytes(), 64 * MiB);
  const std::uint64_t huge = 1ULL << 62;
  disk::BlockSums sums(huge);
  EXPECT_LE(huge / sums.block_bytes(), 512 * KiB);
  const Bytes data = random_bytes(3000, 2);
  sums.add(huge - 3000, data);
  EXPECT_FALSE(sums.even(huge - 1));
  sums.add(huge - 3000, std::span(data).first(1234));
  sums.add(huge - 3000 + 1234, std::span(data).subspan(1234));
  EXPECT_TRUE(sums.even(huge - 1));
}

// --- The writer that verifies -------------------------------------------------------------------

struct Rig {
  explicit Rig(const std::string& path, disk::WriterOptions options = {},
               const disk::ClaimOptions& claim_options = {})
      : target(claimed(path, claim_options)), writer(target, on(options), counters, job) {}
  static disk::Claim claimed(const std::string& path, const disk::ClaimOptions& options) {
    auto claim = disk::claim(path, options);
    EXPECT_TRUE(claim.has_value()) << claim.error().message();
    return *std::move(claim);
  }
  static disk::WriterOptions on(disk::WriterOptions options) {
    options.verify_readback = true;
    return options;
  }
  Result<void> write(std::uint64_t at, std::span<const std::byte> data, std::size_t shift = 0) {
    while (!data.empty()) {
      INGOT_TRY_ASSIGN(const BufferRef buffer, writer.buffer());
      const auto part = data.first(std::min(data.size(), buffer.bytes().size() - shift));
      std::memcpy(buffer.bytes().data() + shift, part.data(), part.size());
      INGOT_TRY(writer.write(at, Slice(buffer, buffer.bytes().subspan(shift, part.size()))));
      at += part.size();
      data = data.subspan(part.size());
    }
    return {};
  }
  disk::Claim target;
  ProgressCounters counters;
  FirstError job;
  disk::DeviceWriter writer;
};

// A disk, loop device or file, of which the test can change a byte behind everybody's back.
class Disk {
 public:
  explicit Disk(std::uint64_t size, unsigned sector = 512) : sector_(sector) {
    if (sector != 0) {
      loop_.emplace(size, sector);
      run("dd if=/dev/urandom of=" + path() +
          " bs=1M oflag=direct status=none count=" + std::to_string(size / MiB));
    } else {
      run("dd if=/dev/urandom of=" + path() +
          " bs=1M status=none count=" + std::to_string(size / MiB));
    }
  }
  [[nodiscard]] std::string path() const {
    return sector_ != 0 ? loop_->path() : dir_.path("disk");
  }
  [[nodiscard]] std::string backing() const {
    return sector_ != 0 ? loop_->backing() : dir_.path("disk");
  }
  [[nodiscard]] Bytes content() const { return read_file(backing()); }
  void change(std::uint64_t at, std::span<const std::byte> data) const {
    const int fd = ::open(backing().c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(::pwrite(fd, data.data(), data.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(data.size()));
    ::fsync(fd);
    ::close(fd);
  }
  void flip(std::uint64_t at, unsigned bit = 0) const {
    const std::byte flipped = content()[at] ^ std::byte(1U << bit);
    change(at, std::span(&flipped, 1));
  }

 private:
  const unsigned sector_;  // 0: a file
  TempDir dir_;
  std::optional<LoopDevice> loop_;
};

constexpr std::uint64_t kSize = 12 * MiB;

struct Kind {
  const char* name;
  unsigned sector;
  unsigned granule;
};
class EveryDisk : public testing::TestWithParam<Kind> {};

// Random extents of data and zeros from three threads.
TEST_P(EveryDisk, PassesWhatWasWritten) {
  const Kind kind = GetParam();
  const std::uint64_t image = kSize - 3 * 4096 - (kind.granule < 512 ? 77 : 0);
  const Disk target(kSize, kind.sector);
  std::mt19937 random(kind.granule);
  Bytes model = random_bytes(image, 3);
  struct Extent {
    std::uint64_t from, length;
    bool zero;
  };
  std::vector<Extent> extents;
  for (std::uint64_t at = 0; at < image;) {
    const std::uint64_t length = std::min<std::uint64_t>(
        image - at, kind.granule * (1 + random() % (200 * KiB / kind.granule)));
    extents.push_back({at, length, random() % 3 == 0});
    if (extents.back().zero)
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), length, std::byte{0});
    at += length;
  }
  std::shuffle(extents.begin(), extents.end(), random);
  {
    Rig rig(target.path());
    ASSERT_TRUE(rig.writer.begin(image).has_value());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < extents.size(); i = next++) {
        const Extent& e = extents[i];
        const auto done = e.zero ? rig.writer.zero(e.from, e.length)
                                 : rig.write(e.from, std::span(model).subspan(e.from, e.length),
                                             i % 2 == 0 ? 0 : 24);
        ASSERT_TRUE(done.has_value()) << done.error().message();
      }
    };
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work);
    threads.clear();
    ASSERT_TRUE(rig.writer.finish().has_value());
    const auto verified = rig.writer.verify();
    ASSERT_TRUE(verified.has_value()) << verified.error().message();
    EXPECT_GE(rig.counters.bytes_verified, kSize - 2 * MiB - 4096 * 4);
    EXPECT_LE(rig.counters.bytes_verified, kSize - 2 * MiB);
    const auto committed = rig.writer.commit();
    ASSERT_TRUE(committed.has_value()) << committed.error().message();
    EXPECT_LE(rig.counters.bytes_verified, kSize);
  }
  const Bytes after = target.content();
  EXPECT_TRUE(std::equal(model.begin(), model.end(), after.begin()));
}

INSTANTIATE_TEST_SUITE_P(All, EveryDisk,
                         testing::Values(Kind{"loop512", 512, 512}, Kind{"loop512_bytes", 512, 1},
                                         Kind{"loop4096", 4096, 4096},
                                         Kind{"loop4096_sectors_of_512", 4096, 512},
                                         Kind{"loop4096_bytes", 4096, 1},
                                         Kind{"file_sectors", 0, 512}, Kind{"file_bytes", 0, 1}),
                         [](const auto& kind) { return kind.param.name; });

// Data, a hole in it, and data; finished and not verified yet.
struct Written {
  explicit Written(const Disk& target, std::uint64_t size = kSize) : rig(target.path()) {
    model = random_bytes(size, 4);
    std::fill_n(model.begin() + 5 * MiB, 2 * MiB, std::byte{0});
    EXPECT_TRUE(rig.writer.begin(size).has_value());
    EXPECT_TRUE(rig.write(0, std::span(model).first(5 * MiB)).has_value());
    EXPECT_TRUE(rig.writer.zero(5 * MiB, 2 * MiB).has_value());
    EXPECT_TRUE(rig.write(7 * MiB, std::span(model).subspan(7 * MiB)).has_value());
    EXPECT_TRUE(rig.writer.finish().has_value());
  }
  void expect_found(std::uint64_t at, const std::string& path) {
    const auto verified = rig.writer.verify();
    ASSERT_FALSE(verified.has_value());
    EXPECT_EQ(verified.error().code(), Errc::write_readback);
    const std::string message = verified.error().message();
    const std::string block = "bytes " + std::to_string(at / MiB * MiB) + " to " +
                              std::to_string((at / MiB + 1) * MiB - 1);
    EXPECT_NE(message.find(block), std::string::npos) << message;
    EXPECT_NE(message.find(path), std::string::npos) << message;
    EXPECT_EQ(rig.writer.commit().error().code(), Errc::internal_bug);
  }
  Rig rig;
  Bytes model;
};

TEST(Readback, FindsEveryFlippedBit) {
  for (const unsigned sector : {512U, 4096U, 0U}) {
    const Disk target(kSize, sector);
    for (const std::uint64_t at :
         {1 * MiB, 3 * MiB - 1, 5 * MiB + 4097, 7 * MiB - 1, 11 * MiB - 1}) {
      Written written(target);
      target.flip(at, at % 8);
      written.expect_found(at, target.path());
    }
  }
}

TEST(Readback, FindsExchangedAndMisplacedSectors) {
  const Disk target(kSize);
  {
    Written written(target);
    target.change(2 * MiB + 512, std::span(written.model).subspan(2 * MiB + 512 * 9, 512));
    target.change(2 * MiB + 512 * 9, std::span(written.model).subspan(2 * MiB + 512, 512));
    written.expect_found(2 * MiB, target.path());
  }
  {
    Written written(target);
    target.change(8 * MiB, std::span(written.model).subspan(8 * MiB + 512, 512));
    written.expect_found(8 * MiB, target.path());
  }
}

TEST(Readback, FindsALostWrite) {
  const Disk target(kSize);
  const Bytes before = target.content();
  Written written(target);
  target.change(9 * MiB + 4096, std::span(before).subspan(9 * MiB + 4096, 4096));
  written.expect_found(9 * MiB, target.path());
}

TEST(Readback, FindsAStraySectorAmongZeros) {
  const Disk target(kSize);
  const Bytes before = target.content();
  Written written(target);
  target.change(6 * MiB, std::span(before).first(512));
  written.expect_found(6 * MiB, target.path());
}

// A disk that alters one byte of a block as soon as it holds what was meant to be written there.
class Liar {
 public:
  Liar(const Disk& disk, const Bytes& model, std::uint64_t at)
      : fd_(::open(disk.backing().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)),
        thread_([this, &model, at](const std::stop_token& stop) {
          const std::uint64_t block = align_down(at, sizeof now_);
          std::memcpy(wrong_, &model[block], sizeof wrong_);
          wrong_[at - block] ^= std::byte{1};
          while (!stop.stop_requested()) {
            EXPECT_EQ(::pread(fd_, now_, sizeof now_, static_cast<off_t>(block)), sizeof now_);
            if (std::memcmp(now_, &model[block], sizeof now_) != 0) continue;
            EXPECT_EQ(::pwrite(fd_, wrong_, sizeof wrong_, static_cast<off_t>(block)),
                      sizeof wrong_);
          }
        }) {}
  ~Liar() {
    thread_.request_stop();
    thread_.join();
    ::close(fd_);
  }
  Liar(const Liar&) = delete;
  Liar& operator=(const Liar&) = delete;

 private:
  alignas(4096) std::byte now_[4096]{}, wrong_[4096]{};
  const int fd_;
  std::jthread thread_;
};

// Should the liar once not get its turn between writing and reading, there is another attempt.
TEST(Readback, EndsThatDoNotComeBackAsCommittedAreZeroedAgain) {
  const Disk target(kSize);
  for (const std::uint64_t at : {std::uint64_t{513}, kSize - 100}) {
    bool found = false;
    for (int attempt = 0; attempt < 20 && !found; ++attempt) {
      Written written(target);
      ASSERT_TRUE(written.rig.writer.verify().has_value());
      Result<void> committed;
      {
        const Liar liar(target, written.model, at);
        committed = written.rig.writer.commit();
      }
      found = !committed.has_value();
      if (!found) continue;
      EXPECT_EQ(committed.error().code(), Errc::write_readback);
      const std::string range = "bytes " + std::to_string(at) + " to " + std::to_string(at);
      EXPECT_NE(committed.error().message().find(range), std::string::npos)
          << committed.error().message();
      const Bytes after = target.content();
      EXPECT_EQ(Bytes(after.begin(), after.begin() + MiB), Bytes(MiB));
      EXPECT_EQ(Bytes(after.end() - MiB, after.end()), Bytes(MiB));
    }
    EXPECT_TRUE(found);
  }
}

TEST(Readback, TheImagesUnalignedEndIsVerifiedUpToItsLastByte) {
  for (const unsigned sector : {512U, 4096U, 0U}) {
    const std::uint64_t size = 8 * MiB + 1234;
    const Disk target(kSize, sector);
    {
      Written written(target, size);
      EXPECT_TRUE(written.rig.writer.verify().has_value());
    }
    {
      Written written(target, size);
      target.flip(size - 1);
      EXPECT_FALSE(written.rig.writer.verify().has_value());
    }
    Written written(target, size);
    target.flip(size + 4096);  // none of ours
    EXPECT_TRUE(written.rig.writer.verify().has_value());
  }
}

// What comes after the image, a partition more for instance, is verified on its own.
TEST(Readback, LaterWritesAreVerifiedOnTheirOwn) {
  for (const bool damaged : {false, true}) {
    const Disk target(kSize);
    Written written(target);
    Rig& rig = written.rig;
    const Bytes late = random_bytes(2 * MiB + 4096, 5);
    EXPECT_EQ(rig.writer.zero(2 * MiB, MiB).error().code(), Errc::internal_bug) << "not verified";
    ASSERT_TRUE(rig.writer.verify().has_value());
    ASSERT_TRUE(rig.writer.zero(3 * MiB - 512, 512).has_value());
    ASSERT_TRUE(rig.write(3 * MiB, late).has_value());
    ASSERT_TRUE(rig.write(8 * MiB + 512, std::span(late).first(512)).has_value());
    EXPECT_EQ(rig.write(3 * MiB + 512, std::span(late).first(512)).error().code(),
              Errc::internal_bug)
        << "twice in one epoch";
    ASSERT_TRUE(rig.writer.finish().has_value());
    EXPECT_EQ(rig.writer.commit().error().code(), Errc::internal_bug) << "not verified";
    if (damaged) {
      target.flip(5 * MiB + 4095);
      const auto found = rig.writer.verify();
      ASSERT_FALSE(found.has_value());
      EXPECT_NE(found.error().message().find(std::to_string(3 * MiB - 512) + " to " +
                                             std::to_string(5 * MiB + 4095)),
                std::string::npos)
          << found.error().message();
      continue;
    }
    ASSERT_TRUE(rig.writer.verify().has_value());
    ASSERT_TRUE(rig.write(3 * MiB, std::span(late).subspan(4096, MiB)).has_value()) << "next epoch";
    ASSERT_TRUE(rig.writer.finish().has_value());
    ASSERT_TRUE(rig.writer.verify().has_value());
    const auto committed = rig.writer.commit();
    ASSERT_TRUE(committed.has_value()) << committed.error().message();
    const Bytes after = target.content();
    EXPECT_EQ(std::memcmp(&after[3 * MiB], &late[4096], MiB), 0);
  }
}

TEST(Readback, ACancelEndsIt) {
  const Disk target(kSize);
  Written written(target);
  written.rig.job.report(Error(Errc::cancelled, "cancelled"));
  const auto verified = written.rig.writer.verify();
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().code(), Errc::cancelled);
}

TEST(Readback, AMediumThatCannotBeReadIsNamedWithTheByte) {
  // A disk whose backing file has lost its end answers reads there with an error.
  const LoopDevice loop(kSize);
  Rig rig(loop.path());
  const Bytes data = random_bytes(kSize, 6);
  ASSERT_TRUE(rig.writer.begin(kSize).has_value());
  ASSERT_TRUE(rig.write(0, data).has_value());
  ASSERT_TRUE(rig.writer.finish().has_value());
  std::filesystem::resize_file(loop.backing(), 6 * MiB);
  const auto verified = rig.writer.verify();
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().code(), Errc::write_readback);
  EXPECT_NE(verified.error().message().find("Input/output error"), std::string::npos)
      << verified.error().message();
}

TEST(Readback, AReadThatIsNotAnsweredIsNotWaitedFor) {
  const LoopDevice loop(64 * MiB);
  auto target = disk::claim(loop.path(), {});
  ASSERT_TRUE(target.has_value());
  BufferPool pool(16 * MiB, 2);
  std::atomic<bool> hung = false;
  disk::ReadOptions options;
  options.buffers = {pool.try_acquire(), pool.try_acquire()};
  options.stall_limit = std::chrono::milliseconds(0);  // no device is quick enough
  options.hung = &hung;
  std::atomic<bool> over = false;
  const auto read = disk::scan_target(*target, 0, 64 * MiB, std::move(options),
                                      [&](std::uint64_t, std::uint64_t, auto) -> Result<void> {
                                        EXPECT_FALSE(over);
                                        return {};
                                      });
  over = true;
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), Errc::write_readback);
  EXPECT_NE(read.error().message().find("no answer"), std::string::npos);
  EXPECT_TRUE(hung);
  // The requests come back one day, and the target is free then.
  target = fail(Errc::cancelled, "given back");
  bool claimed = false;
  for (int i = 0; i < 100 && !claimed; ++i) {
    claimed = disk::claim(loop.path(), {}).has_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(claimed);
}

// Nobody can do anything about a hole; a file system answers for its zeros.
TEST(Readback, ATebibyteOfHolesTakesNeitherMemoryNorTime) {
  const TempDir dir;
  const std::uint64_t size = 1024 * GiB;
  Rig rig(dir.path("disk"), {}, {.create_size = size});
  const Bytes data = random_bytes(3 * MiB, 7);
  ASSERT_TRUE(rig.writer.begin(size).has_value());
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t zero = 0;
  for (const std::uint64_t at : {0 * MiB, 300 * GiB + 513, 1000 * GiB + 4096}) {
    ASSERT_TRUE(rig.writer.zero(zero, at - zero).has_value());
    ASSERT_TRUE(rig.write(at, data).has_value());
    zero = at + data.size();
  }
  ASSERT_TRUE(rig.writer.zero(zero, size - zero).has_value());
  ASSERT_TRUE(rig.writer.finish().has_value());
  auto verified = rig.writer.verify();
  ASSERT_TRUE(verified.has_value()) << verified.error().message();
  EXPECT_EQ(rig.counters.bytes_verified, size - 2 * MiB);
  ASSERT_TRUE(rig.writer.commit().has_value());
  ::getrusage(RUSAGE_SELF, &after);
#ifdef __SANITIZE_THREAD__  // its shadow is several times as large as what is used
  constexpr long kMost = 192 * 1024;
#else
  constexpr long kMost = 48 * 1024;
#endif
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, kMost) << "KiB";
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Readback, AStraySectorInAHoleOfAFileIsFound) {
  const TempDir dir;
  const std::uint64_t size = 1024 * GiB;
  Rig rig(dir.path("disk"), {}, {.create_size = size});
  ASSERT_TRUE(rig.writer.begin(size).has_value());
  ASSERT_TRUE(rig.writer.zero(0, size).has_value());
  ASSERT_TRUE(rig.writer.finish().has_value());
  std::fstream(dir.path("disk"), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(777 * GiB + 5)
      .put(1);
  const auto verified = rig.writer.verify();
  ASSERT_FALSE(verified.has_value());
  EXPECT_NE(verified.error().message().find(std::to_string(777 * GiB)), std::string::npos)
      << verified.error().message();
}

}  // namespace
}  // namespace ingot::test
