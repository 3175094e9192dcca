// Parking on the target's end and spooling to a directory.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "disk/core/units.hpp"
#include "disk/scratch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void round_trip(Scratch& scratch) {
  const Bytes data = noise(3 * MiB + 12345, 1);
  for (std::size_t at = 0; at < data.size(); at += 77777)
    ASSERT_TRUE(
        scratch
            .write(at, std::span(data).subspan(at, std::min<std::size_t>(77777, data.size() - at)))
            .has_value());
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    const std::size_t at = random() % data.size();
    Bytes back(std::min<std::size_t>(data.size() - at, 1 + random() % 200000));
    ASSERT_TRUE(scratch.read(at, back).has_value());
    ASSERT_EQ(std::memcmp(back.data(), &data[at], back.size()), 0);
  }
  Bytes beyond(10);
  EXPECT_TRUE(scratch.write(data.size(), noise(10, 3)).has_value());
}

TEST(TargetScratch, ParksBeyondTheDiskAndLeavesTheRestAlone) {
  for (const unsigned sector : {512U, 4096U}) {
    const LoopDevice loop(16 * MiB, sector);
    run("dd if=/dev/urandom of=" + loop.path() + " bs=1M count=16 oflag=direct status=none");
    const Bytes before = loop.content();
    const auto target = disk::claim(loop.path(), {});
    ASSERT_TRUE(target.has_value());
    disk::TargetScratch provider(*target, "", false);
    const auto scratch = provider.open(5 * MiB + 1000, 0);
    ASSERT_TRUE(scratch.has_value()) << scratch.error().message();
    EXPECT_EQ((*scratch)->capacity(), 9 * MiB);  // from 6 to 15 MiB
    round_trip(**scratch);
    const auto window = (*scratch)->window();
    ASSERT_TRUE(window.has_value());
    EXPECT_EQ(window->start, 6 * MiB);
    Bytes after = loop.content();
    const Bytes data = noise(3 * MiB + 12345, 1);
    EXPECT_EQ(std::memcmp(&after[6 * MiB], data.data(), data.size()), 0);
    EXPECT_EQ(std::memcmp(after.data(), before.data(), 6 * MiB), 0);
    EXPECT_EQ(std::memcmp(&after[15 * MiB], &before[15 * MiB], 1 * MiB), 0);
    ASSERT_TRUE(provider.clear().has_value());
    after = loop.content();
    EXPECT_TRUE(std::all_of(after.begin() + 6 * MiB, after.begin() + 10 * MiB,
                            [](auto b) { return b == std::byte{0}; }));
    EXPECT_EQ(std::memcmp(&after[10 * MiB], &before[10 * MiB], 6 * MiB), 0);
  }
}

TEST(TargetScratch, RefusesWithWhatWouldHaveBeenEnough) {
  const LoopDevice loop(16 * MiB);
  const auto target = disk::claim(loop.path(), {});
  disk::TargetScratch provider(*target, "", false);
  const auto refused = provider.open(10 * MiB, 6 * MiB);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::image_not_streamable);
  EXPECT_NE(refused.error().message().find("6.0 MiB"), std::string::npos)
      << refused.error().message();
  EXPECT_TRUE(provider.open(10 * MiB, 5 * MiB).has_value());
}

TEST(TargetScratch, SpoolsWhereTheDiskHasNoRoom) {
  const LoopDevice loop(4 * MiB);
  const auto target = disk::claim(loop.path(), {});
  const TempDir dir;
  disk::TargetScratch provider(*target, dir.path(""), false);
  const auto scratch = provider.open(4 * MiB, 8 * MiB);
  ASSERT_TRUE(scratch.has_value()) << scratch.error().message();
  round_trip(**scratch);
  EXPECT_EQ(run("ls -A " + dir.path("")), "") << "the file has no name";
}

TEST(TargetScratch, ARehearsalDoesNotParkOnTheTarget) {
  const LoopDevice loop(16 * MiB);
  const auto target = disk::claim(loop.path(), {.read_only = true, .create_size = {}});
  disk::TargetScratch provider(*target, "", true);
  EXPECT_FALSE(provider.open(1 * MiB, 1 * MiB).has_value());
}

}  // namespace
}  // namespace ingot::test
