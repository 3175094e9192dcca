// Every guard of claim(), by trying to break it on real loop devices and files. Needs root.
#include "disk/claim.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "disk/core/units.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using disk::claim;

Errc refusal(const std::string& path, const disk::ClaimOptions& options = {}) {
  const auto target = claim(path, options);
  if (target) {
    ADD_FAILURE() << path << " was claimed";
    return Errc::internal_bug;
  }
  EXPECT_NE(target.error().message().find(path), std::string::npos) << target.error().message();
  EXPECT_FALSE(target.error().advice().empty());
  return target.error().code();
}

class Claim : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }
  TempDir dir;
};

TEST_F(Claim, ABlockDeviceAsItIs) {
  for (const unsigned sector : {512U, 4096U}) {
    const LoopDevice loop(8 * MiB, sector);
    const auto target = claim(loop.path(), {});
    ASSERT_TRUE(target.has_value()) << target.error().message();
    EXPECT_TRUE(target->block_device);
    EXPECT_TRUE(target->direct);
    EXPECT_EQ(target->size, 8 * MiB);
    EXPECT_EQ(target->logical_sector, sector);
    EXPECT_EQ(target->io_alignment, sector);
  }
}

TEST_F(Claim, WhatIsNotADiskIsRefused) {
  EXPECT_EQ(refusal(dir.path("missing")), Errc::device_missing);
  EXPECT_EQ(refusal(dir.path("")), Errc::device_unsuitable);
  EXPECT_EQ(refusal("/dev/null"), Errc::device_unsuitable);
  write_file(dir.path("empty"), {});
  EXPECT_EQ(refusal(dir.path("empty")), Errc::device_too_small);
}

TEST_F(Claim, ADeviceIsClaimedOnce) {
  const LoopDevice loop(8 * MiB);
  const auto first = claim(loop.path(), {});
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(refusal(loop.path()), Errc::device_in_use);
  EXPECT_EQ(refusal(loop.path(), {.read_only = true, .create_size = {}}), Errc::device_in_use);
  EXPECT_NE(claim(loop.path(), {}).error().message().find(std::to_string(::getpid())),
            std::string::npos)
      << "the message says who has it: " << claim(loop.path(), {}).error().message();
}

TEST_F(Claim, ASharedClaimHoldsTheDeviceToTheEnd) {
  const LoopDevice loop(8 * MiB);
  std::optional<disk::Claim> shared;
  {
    const auto first = claim(loop.path(), {});
    ASSERT_TRUE(first.has_value());
    shared = *disk::share(*first);
  }
  EXPECT_EQ(refusal(loop.path()), Errc::device_in_use);
  shared.reset();
  EXPECT_TRUE(claim(loop.path(), {}).has_value());
}

TEST_F(Claim, AFileIsClaimedOnce) {
  std::ofstream(dir.path("disk.img")).close();
  std::filesystem::resize_file(dir.path("disk.img"), 4 * MiB);
  const auto first = claim(dir.path("disk.img"), {});
  ASSERT_TRUE(first.has_value()) << first.error().message();
  EXPECT_FALSE(first->block_device);
  EXPECT_EQ(refusal(dir.path("disk.img")), Errc::device_in_use);
}

TEST_F(Claim, AFileIsMadeSparseWhereASizeIsGiven) {
  const auto target = claim(dir.path("new.img"), {.create_size = 1 * GiB});
  ASSERT_TRUE(target.has_value()) << target.error().message();
  EXPECT_EQ(target->size, 1 * GiB);
  EXPECT_EQ(run("stat -c %b " + dir.path("new.img")), "0\n");
}

TEST_F(Claim, ARehearsalMakesNothing) {
  const auto target = claim(dir.path("new.img"), {.read_only = true, .create_size = 1 * GiB});
  ASSERT_TRUE(target.has_value()) << target.error().message();
  EXPECT_EQ(target->size, 1 * GiB);
  EXPECT_FALSE(std::filesystem::exists(dir.path("new.img")));
}

TEST_F(Claim, AFileThatHoldsSomethingKeepsItsSizeAndAnEmptyOneGetsOne) {
  write_file(dir.path("full"), std::vector<std::byte>(4 * MiB));
  write_file(dir.path("empty"), {});
  const auto kept = claim(dir.path("full"), {.create_size = 1 * GiB});
  ASSERT_TRUE(kept.has_value()) << kept.error().message();
  EXPECT_EQ(kept->size, 4 * MiB);
  {
    const auto rehearsed = claim(dir.path("empty"), {.read_only = true, .create_size = 8 * MiB});
    ASSERT_TRUE(rehearsed.has_value()) << rehearsed.error().message();
    EXPECT_EQ(rehearsed->size, 8 * MiB);
    EXPECT_EQ(std::filesystem::file_size(dir.path("empty")), 0U);
  }
  const auto made = claim(dir.path("empty"), {.create_size = 8 * MiB});
  ASSERT_TRUE(made.has_value()) << made.error().message();
  EXPECT_EQ(made->size, 8 * MiB);
}

TEST_F(Claim, AFileThatCannotBeMadeIsNotLeftBehind) {
  for (const std::uint64_t size : {~0ULL, ~0ULL >> 2})
    EXPECT_EQ(refusal(dir.path("huge"), {.create_size = size}), Errc::device_unsuitable);
  EXPECT_FALSE(std::filesystem::exists(dir.path("huge")));
}

TEST_F(Claim, ReadOnlyIsRefused) {
  const LoopDevice loop(8 * MiB, 512, "--read-only");
  EXPECT_EQ(refusal(loop.path()), Errc::device_read_only);
}

TEST_F(Claim, AMountedDiskIsRefusedByName) {
  const LoopDevice loop(32 * MiB);
  {
    const Mount mount(loop.path(), "mkfs.ext4 -q", "mnt point");
    const auto target = claim(loop.path(), {});
    ASSERT_FALSE(target.has_value());
    EXPECT_EQ(target.error().code(), Errc::device_mounted);
    EXPECT_NE(target.error().message().find(mount.path()), std::string::npos)
        << target.error().message();
  }
  EXPECT_TRUE(claim(loop.path(), {}).has_value());
}

TEST_F(Claim, SoIsADiskWithAMountedPartitionAndSoIsThePartition) {
  const LoopDevice loop(64 * MiB, 512, "--partscan");
  // Told to the kernel directly: not every kernel reads partition tables by itself.
  run("addpart " + loop.path() + " 1 2048 65536");
  EXPECT_EQ(refusal(loop.path() + "p1"), Errc::device_unsuitable);
  const Mount mount(loop.path() + "p1");
  EXPECT_EQ(refusal(loop.path()), Errc::device_mounted);
  EXPECT_EQ(refusal(loop.path(), {.read_only = true, .create_size = {}}), Errc::device_mounted);
}

TEST_F(Claim, AMountedBtrfsIsFoundThoughItsDeviceNumberIsAnother) {
  const LoopDevice loop(256 * MiB);
  const Mount mount(loop.path(), "mkfs.btrfs -q");
  EXPECT_EQ(refusal(loop.path()), Errc::device_mounted);
}

TEST_F(Claim, SwapIsRefused) {
  const LoopDevice loop(16 * MiB);
  run("mkswap " + loop.path());
  run("swapon " + loop.path());
  EXPECT_EQ(refusal(loop.path()), Errc::device_swap);
  run("swapoff " + loop.path());
}

TEST_F(Claim, ASwapFileIsRefused) {
  const std::string file = dir.path("swapfile");
  run("dd if=/dev/zero of=" + file + " bs=1M count=16 status=none && chmod 600 " + file);
  run("mkswap " + file + " && swapon " + file);
  EXPECT_EQ(refusal(file), Errc::device_swap);
  run("swapoff " + file);
}

TEST_F(Claim, TheBackingOfALoopDeviceIsRefused) {
  const LoopDevice loop(8 * MiB);
  const std::string backing = run("losetup --noheadings --output BACK-FILE " + loop.path());
  EXPECT_EQ(refusal(backing.substr(0, backing.find('\n'))), Errc::device_in_use);
}

TEST_F(Claim, TheBackingIsFoundByItsInodeNotItsName) {
  write_file(dir.path("first"), std::vector<std::byte>(8 * MiB));
  std::filesystem::create_hard_link(dir.path("first"), dir.path("second"));
  std::string above = run("losetup --find --show " + dir.path("first"));
  std::filesystem::remove(dir.path("first"));
  EXPECT_EQ(refusal(dir.path("second")), Errc::device_in_use);
  detach_loop(above);
  EXPECT_TRUE(claim(dir.path("second"), {}).has_value());
}

TEST_F(Claim, ADiskUnderALoopDeviceIsRefused) {
  const LoopDevice below(8 * MiB);
  const std::string above = run("losetup --find --show " + below.path());
  EXPECT_EQ(refusal(below.path()), Errc::device_in_use);
  detach_loop(above);
}

TEST_F(Claim, PartitionsOfTheOldTableAreGoneAfterAReread) {
  const LoopDevice loop(64 * MiB, 512, "--partscan");
  run("addpart " + loop.path() + " 1 2048 65536");
  const auto target = claim(loop.path(), {});
  ASSERT_TRUE(target.has_value()) << target.error().message();
  ASSERT_TRUE(std::filesystem::exists(loop.path() + "p1"));
  const auto shown = disk::reread_partitions(*target);
  EXPECT_TRUE(shown.has_value()) << shown.error().message();
  EXPECT_FALSE(std::filesystem::exists(loop.path() + "p1"));
}

}  // namespace
}  // namespace ingot::test
