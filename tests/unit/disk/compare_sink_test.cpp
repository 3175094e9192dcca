// An image's extents against real disks that differ from it. Needs root.
#include "disk/compare_sink.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "disk/core/units.hpp"
#include "disk/open_for_reading.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;
using disk::DifferenceMap;

TEST(DifferenceMap, CountsBytesAndFindsTheFirst) {
  DifferenceMap map;
  Bytes found(4096), wanted(4096);
  map.compare(8192, found, wanted);
  EXPECT_FALSE(map.summary().has_value());
  found[700] = found[701] = found[4095] = std::byte{1};
  map.compare(8192, found, wanted);
  ASSERT_TRUE(map.summary().has_value());
  EXPECT_EQ(map.summary()->first, 8192U + 700);
  EXPECT_EQ(map.summary()->bytes, 3U);
  EXPECT_TRUE(map.summary()->exact);
  map.compare(100, std::span(found).subspan(600, 200), {});  // against zeros, not aligned
  EXPECT_EQ(map.summary()->first, 200U);
  EXPECT_EQ(map.summary()->bytes, 5U);
}

TEST(DifferenceMap, ForgivesAndIgnores) {
  DifferenceMap map;
  const Bytes found(64 * KiB, std::byte{3});
  map.ignore(1 * MiB, 2 * MiB);
  map.compare(1 * MiB, found, {});
  EXPECT_FALSE(map.summary().has_value());
  EXPECT_TRUE(map.forgive(1 * MiB, 2 * MiB)) << "something was ignored there";
  EXPECT_FALSE(map.forgive(3 * MiB, 4 * MiB));
  map.compare(4096, found, {});
  EXPECT_TRUE(map.forgive(0, 8192));
  EXPECT_TRUE(map.forgive(64 * KiB, 128 * KiB));
  ASSERT_TRUE(map.summary().has_value());
  EXPECT_EQ(map.summary()->first, 8192U);
  EXPECT_FALSE(map.summary()->exact);
  EXPECT_TRUE(map.forgive(8192, 64 * KiB));
  EXPECT_FALSE(map.summary().has_value());
}

TEST(DifferenceMap, TakesBoundedMemory) {
  DifferenceMap map;
  const Bytes found(512, std::byte{1});
  for (std::uint64_t at = 100'000; at > 0; --at) map.compare(at * 1024, found, {});
  EXPECT_EQ(map.summary()->first, 1024U);
  EXPECT_GT(map.summary()->bytes, 512U * 10'000);
  EXPECT_FALSE(map.summary()->exact);
}

struct Rig {
  explicit Rig(const std::string& path)
      : opened(*disk::open_for_reading(path)),
        sink(opened.target, {.buffer_count = 4}, differences, counters, job) {}
  Result<void> write(std::uint64_t at, std::span<const std::byte> data) {
    INGOT_TRY_ASSIGN(const BufferRef buffer, sink.buffer());
    std::memcpy(buffer.bytes().data(), data.data(), data.size());
    return sink.write(at, Slice(buffer, buffer.bytes().first(data.size())));
  }
  disk::ReadableTarget opened;
  DifferenceMap differences;
  ProgressCounters counters;
  FirstError job;
  disk::CompareSink sink;
};

// Random extents of any alignment from three threads, over a disk that differs in known bytes.
TEST(CompareSink, FindsWhatDiffersAndNothingElse) {
  constexpr std::uint64_t size = 12 * MiB, image = size - 777;
  for (const unsigned sector : {512U, 4096U, 0U}) {
    std::mt19937_64 random(sector);
    Bytes model(size);
    struct Extent {
      std::uint64_t from, length;
      bool zero;
    };
    std::vector<Extent> extents;
    for (std::uint64_t at = 0; at < image;) {
      const auto length = std::min<std::uint64_t>(image - at, 1 + random() % (300 * KiB));
      extents.push_back({at, length, random() % 3 == 0});
      if (!extents.back().zero)
        for (std::uint64_t i = at; i < at + length; ++i)
          model[i] = static_cast<std::byte>(random());
      at += length;
    }
    std::shuffle(extents.begin(), extents.end(), random);
    const TempDir dir;
    std::optional<LoopDevice> loop;
    if (sector != 0) loop.emplace(size, sector);
    const std::string backing = loop ? loop->backing() : dir.path("disk");
    for (const bool damaged : {false, true}) {
      Bytes content = model;
      const std::uint64_t wrong[] = {2 * MiB + 1, 5 * MiB + 4096, image - 1};
      if (damaged)
        for (const std::uint64_t at : wrong) content[at] ^= std::byte{0x10};
      write_file(backing, content);
      run("sync " + backing);
      Rig rig(loop ? loop->path() : backing);
      ASSERT_TRUE(rig.sink.begin(damaged ? std::optional(image) : std::nullopt).has_value());
      std::atomic<std::size_t> next{0};
      const auto work = [&] {
        for (std::size_t i = next++; i < extents.size(); i = next++) {
          const Extent& e = extents[i];
          ASSERT_TRUE((e.zero ? rig.sink.zero(e.from, e.length)
                              : rig.write(e.from, std::span(model).subspan(e.from, e.length)))
                          .has_value());
        }
      };
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) threads.emplace_back(work);
      threads.clear();
      ASSERT_TRUE(rig.sink.finish().has_value());
      EXPECT_EQ(rig.counters.bytes_verified, image);
      EXPECT_TRUE(std::ranges::equal(rig.sink.head(), std::span(model).first(MiB)));
      const auto summary = rig.differences.summary();
      ASSERT_EQ(summary.has_value(), damaged);
      if (!damaged) continue;
      EXPECT_EQ(summary->first, wrong[0]);
      EXPECT_EQ(summary->bytes, 3U);
      EXPECT_TRUE(summary->exact);
    }
  }
}

TEST(CompareSink, RefusesADiskThatIsTooSmall) {
  const LoopDevice loop(4 * MiB);
  Rig rig(loop.path());
  EXPECT_EQ(rig.sink.begin(4 * MiB + 512).error().code(), Errc::device_too_small);
  Rig open_end(loop.path());
  ASSERT_TRUE(open_end.sink.begin(std::nullopt).has_value());
  EXPECT_EQ(open_end.sink.zero(4 * MiB, 512).error().code(), Errc::image_too_large);
}

TEST(CompareSink, ADiskThatCannotBeReadEndsTheJob) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path());
  ASSERT_TRUE(rig.sink.begin(8 * MiB).has_value());
  std::filesystem::resize_file(loop.backing(), 4 * MiB);
  static_cast<void>(rig.sink.zero(0, 8 * MiB));
  const auto finished = rig.sink.finish();
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error().code(), Errc::write_io) << finished.error().message();
  EXPECT_TRUE(rig.job.token().stop_requested());
}

TEST(CompareSink, AStoppedJobEndsAtOnce) {
  const LoopDevice loop(8 * MiB);
  Rig rig(loop.path());
  ASSERT_TRUE(rig.sink.begin(8 * MiB).has_value());
  rig.job.report(Error(Errc::source_timeout, "the first error"));
  EXPECT_EQ(rig.sink.zero(0, 8 * MiB).error().code(), Errc::source_timeout);
  EXPECT_EQ(rig.sink.finish().error().code(), Errc::source_timeout);
}

TEST(OpenForReading, TakesADiskInUseAndNoPartitionOrDirectory) {
  const LoopDevice loop(32 * MiB);
  const Mount mount(loop.path());
  const auto opened = disk::open_for_reading(loop.path());
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  EXPECT_FALSE(opened->uses.empty());
  EXPECT_EQ(opened->target.size, 32 * MiB);
  EXPECT_EQ(disk::open_for_reading("/var/tmp").error().code(), Errc::device_unsuitable);
  EXPECT_EQ(disk::open_for_reading("/dev/null").error().code(), Errc::device_unsuitable);
  EXPECT_EQ(disk::open_for_reading("/dev/nothing").error().code(), Errc::device_missing);
}

}  // namespace
}  // namespace ingot::test
