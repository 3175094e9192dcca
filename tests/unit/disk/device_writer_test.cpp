// Extents onto real loop devices and files, against a model, with both engines. Needs root.
#include "disk/device_writer.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>

#include "disk/core/units.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;
using disk::DeviceWriter;

// A writer on a claimed target, and what belongs to it.
struct Rig {
  explicit Rig(const std::string& path, const disk::WriterOptions& options = {},
               const disk::ClaimOptions& claim_options = {})
      : target(claimed(path, claim_options)), writer(target, options, counters, job) {}
  static disk::Claim claimed(const std::string& path, const disk::ClaimOptions& options) {
    auto claim = disk::claim(path, options);
    EXPECT_TRUE(claim.has_value()) << claim.error().message();
    return *std::move(claim);
  }
  Result<void> complete() {
    INGOT_TRY(writer.finish());
    return writer.commit();
  }
  disk::Claim target;
  ProgressCounters counters;
  FirstError job;
  DeviceWriter writer;
};

Slice slice_of(Rig& rig, const std::byte* data, std::size_t size, std::size_t shift = 0) {
  auto buffer = rig.writer.buffer();
  EXPECT_TRUE(buffer.has_value());
  std::memcpy(buffer->bytes().data() + shift, data, size);
  const auto bytes = buffer->bytes().subspan(shift, size);
  return Slice(*std::move(buffer), bytes);
}

struct Kind {
  const char* name;
  unsigned sector;  // 0: a regular file
  bool uring;
  unsigned granule;  // extents start and end at multiples of it
};

class EveryTarget : public testing::TestWithParam<Kind> {};

// The whole disk, cut into random extents, from three threads at once, over old content.
TEST_P(EveryTarget, HoldsExactlyWhatItWasGiven) {
  const Kind kind = GetParam();
  const std::uint64_t size = 24 * MiB, image = 24 * MiB - 3 * 4096 - (kind.granule < 512 ? 77 : 0);
  std::mt19937 random(kind.granule + kind.sector);
  Bytes model(image);
  for (auto& byte : model) byte = static_cast<std::byte>(random());
  struct Extent {
    std::uint64_t from, length;
    bool zero;
  };
  std::vector<Extent> extents;
  for (std::uint64_t at = 0; at < image;) {
    const std::uint64_t most = random() % 3 == 0 ? 900 * KiB : 40 * KiB;
    const std::uint64_t length =
        std::min<std::uint64_t>(image - at, kind.granule * (1 + random() % (most / kind.granule)));
    const bool zero = random() % 3 == 0;
    if (zero) std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), length, std::byte{0});
    extents.push_back({at, length, zero});
    at += length;
  }
  std::shuffle(extents.begin(), extents.end(), random);

  std::optional<LoopDevice> loop;
  const TempDir dir;
  std::string path = dir.path("disk.img");
  if (kind.sector != 0) {
    loop.emplace(size, kind.sector);
    path = loop->path();
    run("dd if=/dev/urandom of=" + path + " bs=1M count=24 oflag=direct status=none");
  } else {
    run("dd if=/dev/urandom of=" + path + " bs=1M count=24 status=none");
  }
  {
    Rig rig(path, {.buffer_count = 8, .queue_depth = 4, .use_io_uring = kind.uring});
    ASSERT_TRUE(rig.writer.begin(image).has_value());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < extents.size(); i = next++) {
        const Extent& e = extents[i];
        const auto done = e.zero ? rig.writer.zero(e.from, e.length)
                                 : rig.writer.write(e.from, slice_of(rig, &model[e.from], e.length,
                                                                     i % 2 == 0 ? 0 : 24));
        ASSERT_TRUE(done.has_value()) << done.error().message();
      }
    };
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(work);
    threads.clear();
    ASSERT_TRUE(rig.writer.finish().has_value());

    Bytes before(size);
    {
      std::ifstream(path, std::ios::binary)
          .read(reinterpret_cast<char*>(before.data()), static_cast<std::streamsize>(size));
    }
    EXPECT_TRUE(std::all_of(before.begin(), before.begin() + MiB, [](auto b) {
      return b == std::byte{0};
    })) << "the head is on the disk before commit";
    EXPECT_TRUE(std::all_of(before.end() - MiB, before.end(), [](auto b) {
      return b == std::byte{0};
    })) << "the tail is on the disk before commit";
    ASSERT_TRUE(rig.writer.commit().has_value());
    EXPECT_EQ(rig.counters.bytes_written + rig.counters.bytes_zeroed, image);
  }
  const Bytes after = loop ? loop->content() : read_file(path);
  EXPECT_TRUE(std::equal(model.begin(), model.end(), after.begin()));
  EXPECT_EQ(after.size(), size);
}

INSTANTIATE_TEST_SUITE_P(All, EveryTarget,
                         testing::Values(Kind{"loop512_uring", 512, true, 4096},
                                         Kind{"loop512_pwrite", 512, false, 4096},
                                         Kind{"loop512_sectors", 512, true, 512},
                                         Kind{"loop4096_sectors_of_512", 4096, true, 512},
                                         Kind{"loop4096_pwrite_bytes", 4096, false, 1},
                                         Kind{"file_uring", 0, true, 4096},
                                         Kind{"file_bytes", 0, true, 1},
                                         Kind{"file_pwrite_sectors", 0, false, 512}),
                         [](const auto& kind) { return kind.param.name; });

TEST(DeviceWriter, WhatIsNotCommittedDoesNotBoot) {
  const LoopDevice loop(8 * MiB);
  run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=8 oflag=direct status=none");
  {
    Rig rig(loop.path());
    EXPECT_FALSE(rig.writer.touched());
    ASSERT_TRUE(rig.writer.begin(8 * MiB).has_value());
    const Bytes data(512 * KiB, std::byte{7});
    ASSERT_TRUE(rig.writer.write(0, slice_of(rig, data.data(), data.size())).has_value());
    ASSERT_TRUE(rig.writer.write(7 * MiB, slice_of(rig, data.data(), data.size())).has_value());
    EXPECT_FALSE(rig.writer.touched()) << "all of that is withheld";
    ASSERT_TRUE(rig.writer.finish().has_value());
    EXPECT_TRUE(rig.writer.touched());
  }
  const Bytes disk = loop.content();
  const auto zero = [](std::byte b) { return b == std::byte{0}; };
  EXPECT_TRUE(std::all_of(disk.begin(), disk.begin() + MiB, zero));
  EXPECT_TRUE(std::all_of(disk.end() - MiB, disk.end(), zero));
}

TEST(DeviceWriter, AnImageOneSectorTooLargeIsRefusedUntouched) {
  const LoopDevice loop(8 * MiB);
  run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=8 oflag=direct status=none");
  const Bytes before = loop.content();
  {
    Rig rig(loop.path());
    const auto begun = rig.writer.begin(8 * MiB + 512);
    ASSERT_FALSE(begun.has_value());
    EXPECT_EQ(begun.error().code(), Errc::device_too_small);
    EXPECT_NE(begun.error().message().find("512 bytes too few"), std::string::npos);
    EXPECT_FALSE(rig.writer.touched());
  }
  EXPECT_TRUE(loop.content() == before);
}

TEST(DeviceWriter, ABombEndsAtTheTargetsEnd) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path());
  ASSERT_TRUE(rig.writer.begin(std::nullopt).has_value());
  ASSERT_TRUE(rig.writer.zero(0, 8 * MiB).has_value());
  const Bytes data(512, std::byte{1});
  const auto past = rig.writer.write(8 * MiB, slice_of(rig, data.data(), data.size()));
  ASSERT_FALSE(past.has_value());
  EXPECT_EQ(past.error().code(), Errc::image_too_large);
  EXPECT_FALSE(rig.writer.zero(~0ULL - 5, 100).has_value());
}

TEST(DeviceWriter, ARehearsalLeavesEveryByteAsItWas) {
  const LoopDevice loop(8 * MiB);
  run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=8 oflag=direct status=none");
  const Bytes before = loop.content();
  {
    Rig rig(loop.path(), {.dry_run = true}, {.read_only = true, .create_size = {}});
    ASSERT_TRUE(rig.writer.begin(8 * MiB).has_value());
    const Bytes data(1 * MiB, std::byte{7});
    for (std::uint64_t at = 0; at < 4 * MiB; at += MiB)
      ASSERT_TRUE(rig.writer.write(at, slice_of(rig, data.data(), data.size())).has_value());
    ASSERT_TRUE(rig.writer.zero(4 * MiB, 4 * MiB).has_value());
    ASSERT_TRUE(rig.complete().has_value());
    EXPECT_EQ(rig.counters.bytes_written, 4 * MiB);
    EXPECT_EQ(rig.counters.bytes_zeroed, 4 * MiB);
    EXPECT_FALSE(rig.writer.touched());
  }
  EXPECT_TRUE(loop.content() == before);
}

TEST(DeviceWriter, AGptForOtherSectorsIsRefused) {
  const TempDir dir;
  std::ofstream(dir.path("gpt")).close();
  std::filesystem::resize_file(dir.path("gpt"), 16 * MiB);
  run("printf 'label: gpt\\nstart=2048\\n' | sfdisk --quiet " + dir.path("gpt"));
  const Bytes head = read_file(dir.path("gpt"));
  for (const unsigned sector : {512U, 4096U}) {
    const LoopDevice loop(16 * MiB, sector);
    run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=16 oflag=direct status=none");
    const Bytes before = loop.content();
    {
      Rig rig(loop.path());
      ASSERT_TRUE(rig.writer.begin(16 * MiB).has_value());
      // What comes first waits for the head.
      ASSERT_TRUE(rig.writer.zero(8 * MiB, 4 * MiB).has_value());
      ASSERT_TRUE(rig.writer.write(2 * MiB, slice_of(rig, &head[2 * MiB], 64 * KiB)).has_value());
      ASSERT_TRUE(rig.writer.write(0, slice_of(rig, head.data(), 64 * KiB)).has_value());
      EXPECT_FALSE(rig.writer.touched());
      const auto rest = rig.writer.zero(64 * KiB, 1 * MiB - 64 * KiB);
      EXPECT_EQ(rest.has_value(), sector == 512);
      EXPECT_EQ(rig.writer.touched(), sector == 512);
      if (!rest) {
        EXPECT_EQ(rest.error().code(), Errc::device_sector_size);
      }
    }
    EXPECT_EQ(loop.content() == before, sector == 4096);
  }
}

TEST(DeviceWriter, AHybridGptFitsEitherKindOfDisk) {
  Bytes head(64 * KiB);
  for (const std::size_t sector : {512U, 4096U}) {
    std::memcpy(&head[sector], "EFI PART\0\0\1\0\x5c", 13);
    head[sector + 24] = std::byte{1};
  }
  for (const unsigned sector : {512U, 4096U}) {
    const LoopDevice loop(16 * MiB, sector);
    Rig rig(loop.path());
    ASSERT_TRUE(rig.writer.begin(16 * MiB).has_value());
    EXPECT_TRUE(rig.writer.write(0, slice_of(rig, head.data(), head.size())).has_value());
    EXPECT_TRUE(rig.complete().has_value());
  }
}

TEST(DeviceWriter, TheSectorInWhichTheImageEndsKeepsNothingOld) {
  for (const bool known : {true, false}) {
    const LoopDevice loop(8 * MiB, 4096);
    run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=8 oflag=direct status=none");
    const Bytes before = loop.content(), data(512, std::byte{5});
    Rig rig(loop.path());
    const std::uint64_t size = 3 * MiB + 512;
    ASSERT_TRUE(rig.writer.begin(known ? std::optional(size) : std::nullopt).has_value());
    ASSERT_TRUE(rig.writer.write(3 * MiB, slice_of(rig, data.data(), data.size())).has_value());
    ASSERT_TRUE(rig.complete().has_value());
    const Bytes after = loop.content();
    EXPECT_EQ(std::memcmp(&after[3 * MiB], data.data(), data.size()), 0);
    EXPECT_EQ(Bytes(4096 - 512), Bytes(&after[size], &after[3 * MiB + 4096]));
    EXPECT_EQ(std::memcmp(&after[3 * MiB + 4096], &before[3 * MiB + 4096], 4096), 0);
  }
}

TEST(DeviceWriter, SmallTargetsAreWithheldWhole) {
  for (const std::uint64_t size : {512 * KiB, 1 * MiB, 1 * MiB + 512, 2 * MiB, 2 * MiB + 512}) {
    const LoopDevice loop(size);
    run("dd if=/dev/urandom of=" + loop.path() + " bs=512 count=" + std::to_string(size / 512) +
        " oflag=direct status=none");
    Bytes model(size);
    std::mt19937 random(3);
    for (auto& byte : model) byte = static_cast<std::byte>(random());
    Rig rig(loop.path());
    ASSERT_TRUE(rig.writer.begin(size).has_value());
    for (std::uint64_t at = 0; at < size; at += MiB)
      ASSERT_TRUE(
          rig.writer.write(at, slice_of(rig, &model[at], std::min<std::uint64_t>(MiB, size - at)))
              .has_value());
    ASSERT_TRUE(rig.writer.finish().has_value());
    const Bytes before = loop.content();
    EXPECT_EQ(std::count(before.begin(), before.end(), std::byte{0}),
              static_cast<std::ptrdiff_t>(size))
        << size;
    ASSERT_TRUE(rig.writer.commit().has_value());
    EXPECT_TRUE(loop.content() == model) << size;
  }
}

TEST(DeviceWriter, NothingIsCommittedBeforeItIsFinished) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path());
  EXPECT_FALSE(rig.writer.finish().has_value());
  ASSERT_TRUE(rig.writer.begin(8 * MiB).has_value());
  EXPECT_EQ(rig.writer.commit().error().code(), Errc::internal_bug);
  ASSERT_TRUE(rig.complete().has_value());
  EXPECT_TRUE(rig.writer.abandon().has_value());  // nothing happens any more
}

TEST(DeviceWriter, AnAbandonedWriteCannotBeCommitted) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path());
  ASSERT_TRUE(rig.writer.begin(8 * MiB).has_value());
  ASSERT_TRUE(rig.writer.finish().has_value());
  ASSERT_TRUE(rig.writer.abandon().has_value());
  EXPECT_FALSE(rig.writer.commit().has_value());
}

// Writes megabytes until something fails.
Result<void> fill(Rig& rig, std::uint64_t size) {
  for (std::uint64_t at = 0; at < size; at += MiB) {
    INGOT_TRY_ASSIGN(const BufferRef buffer, rig.writer.buffer());
    std::memset(buffer.bytes().data(), 9, MiB);
    INGOT_TRY(rig.writer.write(at, Slice(buffer, buffer.bytes())));
  }
  return rig.writer.finish();
}

void expect_write_error(const Result<void>& outcome, Rig& rig, const std::string& path) {
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code(), Errc::write_io) << outcome.error().message();
  EXPECT_NE(outcome.error().message().find(path), std::string::npos) << outcome.error().message();
  EXPECT_NE(outcome.error().message().find("at byte"), std::string::npos);
  EXPECT_TRUE(rig.job.token().stop_requested());
}

// A file system that fills up is a target that fails at some index: a file on it, and a disk whose
// backing lies on it.
TEST(DeviceWriter, AFailedWriteIsReportedWithPathAndPlace) {
  for (const bool uring : {true, false}) {
    const disk::WriterOptions options{.buffer_count = 4, .queue_depth = 4, .use_io_uring = uring};
    const LoopDevice loop(32 * MiB);
    const Mount mount(loop.path());
    {
      const std::string path = mount.path("disk.img");
      Rig rig(path, options, {.create_size = 128 * MiB});
      ASSERT_TRUE(rig.writer.begin(128 * MiB).has_value());
      expect_write_error(fill(rig, 128 * MiB), rig, path);
    }
    std::filesystem::remove(mount.path("disk.img"));
    const LoopDevice disk(128 * MiB, 512, "", mount.path());
    Rig rig(disk.path(), options);
    ASSERT_TRUE(rig.writer.begin(128 * MiB).has_value());
    expect_write_error(fill(rig, 128 * MiB), rig, disk.path());
    EXPECT_TRUE(rig.writer.abandon().has_value());
    const Bytes left = disk.content();
    EXPECT_EQ(Bytes(MiB), Bytes(left.begin(), left.begin() + MiB));
  }
}

// A frozen file system takes requests and does not answer them, like a disk that hangs.
TEST(DeviceWriter, ATargetThatDoesNotAnswerEndsTheJob) {
  using Clock = std::chrono::steady_clock;
  enum class Hung { uring, pwrite, zeroing };
  for (const Hung hung : {Hung::uring, Hung::pwrite, Hung::zeroing}) {
    const LoopDevice loop(64 * MiB);
    Mount mount(loop.path());
    const std::string path = mount.path("disk.img");
    const auto start = Clock::now();
    {
      Rig rig(path,
              {.buffer_count = 4,
               .queue_depth = 4,
               .use_io_uring = hung == Hung::uring,
               .stall_limit = std::chrono::milliseconds(300)},
              {.create_size = 32 * MiB});
      ASSERT_TRUE(rig.writer.begin(32 * MiB).has_value());
      ASSERT_TRUE(rig.writer.touch().has_value());
      mount.freeze();
      if (hung == Hung::zeroing)
        ASSERT_TRUE(rig.writer.zero(0, 32 * MiB).has_value());
      else
        for (std::uint64_t at = 2 * MiB; at < 5 * MiB; at += MiB) {
          const BufferRef buffer = *rig.writer.buffer();
          ASSERT_TRUE(rig.writer.write(at, Slice(buffer, buffer.bytes())).has_value());
        }
      const auto finished = rig.writer.finish();
      expect_write_error(finished, rig, path);
      EXPECT_NE(finished.error().message().find("no answer"), std::string::npos);
      EXPECT_TRUE(rig.writer.abandon().has_value()) << "touching it left zeros there";
    }
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(5)) << "somebody waited for the device";
    EXPECT_FALSE(disk::claim(path, {}).has_value()) << "the kernel still has requests for it";
    mount.thaw();
    bool claimed = false;
    for (int i = 0; i < 100 && !claimed; ++i) {
      claimed = disk::claim(path, {}).has_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_TRUE(claimed) << "nothing holds it once the requests are back";
  }
}

TEST(DeviceWriter, ACacheOnlyTargetWorksAsWell) {
  Bytes model(4 * MiB + 777);
  std::mt19937 random(4);
  for (auto& byte : model) byte = static_cast<std::byte>(random());
  const std::string path = "/dev/shm/ingot-test-" + std::to_string(::getpid());
  for (const bool uring : {true, false}) {
    {
      Rig rig(path, {.use_io_uring = uring}, {.create_size = 6 * MiB + 11});
      ASSERT_TRUE(rig.writer.begin(6 * MiB + 11).has_value());
      for (std::size_t at = 0; at < model.size(); at += 500'001)
        ASSERT_TRUE(rig.writer
                        .write(at, slice_of(rig, &model[at],
                                            std::min<std::size_t>(500'001, model.size() - at), 3))
                        .has_value());
      ASSERT_TRUE(rig.writer.zero(model.size(), 6 * MiB + 11 - model.size()).has_value());
      ASSERT_TRUE(rig.complete().has_value());
    }
    const Bytes after = read_file(path);
    std::filesystem::remove(path);
    EXPECT_EQ(std::memcmp(after.data(), model.data(), model.size()), 0);
    EXPECT_EQ(std::count(after.begin() + static_cast<std::ptrdiff_t>(model.size()), after.end(),
                         std::byte{0}),
              static_cast<std::ptrdiff_t>(after.size() - model.size()));
  }
}

TEST(DeviceWriter, AStoppedJobEndsWaitingForBuffers) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path(), {.buffer_count = 1});
  ASSERT_TRUE(rig.writer.begin(8 * MiB).has_value());
  const auto held = rig.writer.buffer();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    rig.job.report(Error(Errc::source_timeout, "the first error"));
  });
  const auto none = rig.writer.buffer();
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), Errc::source_timeout) << "the error that stopped the job";
}

}  // namespace
}  // namespace ingot::test
