// The disks of this machine and real loop devices, with lsblk and blkid as judges. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "disk/core/unique_fd.hpp"
#include "disk/core/units.hpp"
#include "disk/inventory/list_disks.hpp"
#include "tests/support/loop_device.hpp"
#include "tests/support/sysfs_tree.hpp"

namespace ingot::test {
namespace {

using disk::Disk;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Machine : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }

  static Disk describe(const std::string& path) {
    const auto disk = disk::describe_disk(path, {});
    EXPECT_TRUE(disk) << disk.error().message();
    return disk ? *disk : Disk{};
  }
};

void expect_as_lsblk(const Disk& disk, const LsblkLine& line) {
  SCOPED_TRACE(disk.name);
  const bool udev = std::filesystem::exists("/run/udev/data");
  EXPECT_EQ(disk.kname, line.at("kname"));
  EXPECT_EQ(disk.name, "/dev/" + line.at("kname"));
  EXPECT_EQ(std::to_string(disk.size), line.at("size"));
  EXPECT_EQ(disk.type, line.at("type"));
  EXPECT_EQ(disk.model, line.at("model"));
  if (udev) {
    EXPECT_EQ(disk.wwn, line.at("wwn"));
  }
  EXPECT_EQ(disk.rotational ? "True" : "False", line.at("rota"));
  EXPECT_EQ(disk.removable ? "True" : "False", line.at("rm"));
  EXPECT_EQ(disk.read_only ? "True" : "False", line.at("ro"));
  EXPECT_EQ(std::to_string(disk.logical_sector), line.at("log-sec"));
  EXPECT_EQ(std::to_string(disk.physical_sector), line.at("phy-sec"));
  EXPECT_EQ(disk.hctl, line.at("hctl"));
  // An older lsblk does not know those two.
  if (disk.transport != "virtio" && disk.transport != "mmc") {
    EXPECT_EQ(disk.transport, line.at("tran"));
  }
  if (udev || disk.transport != "virtio") {
    EXPECT_EQ(disk.serial, line.at("serial"));
  }
  std::string number =
      std::to_string(major(disk.number)) + ":" + std::to_string(minor(disk.number));
  EXPECT_EQ(number, line.at("maj:min"));
}

TEST_F(Machine, EveryDiskIsAsLsblkShowsIt) {
  const auto disks = disk::list_disks({});
  ASSERT_TRUE(disks) << disks.error().message();
  std::vector<LsblkLine> expected;
  for (const LsblkLine& line : lsblk()) {
    const std::string& name = line.at("kname");
    if (line.at("type") == "disk" && !name.starts_with("zram") && !name.starts_with("ram") &&
        !name.starts_with("nbd") && !name.starts_with("fd") && line.at("size") != "0")
      expected.push_back(line);
  }
  ASSERT_EQ(disks->size(), expected.size());
  ASSERT_FALSE(disks->empty()) << "a machine without a disk proves nothing";
  for (std::size_t i = 0; i < expected.size(); ++i) expect_as_lsblk((*disks)[i], expected[i]);
}

TEST_F(Machine, ALoopDeviceOnlyWhenItIsNamed) {
  for (const unsigned sector : {512U, 4096U}) {
    const LoopDevice loop(64 * MiB, sector);
    const Disk disk = describe(loop.path());
    const auto lines = lsblk(loop.path());
    ASSERT_EQ(lines.size(), 1U);
    expect_as_lsblk(disk, lines.front());
    EXPECT_EQ(disk.type, "loop");
    EXPECT_EQ(disk.logical_sector, sector);
    EXPECT_EQ(disk.table, "");
    EXPECT_THAT(disk.users, IsEmpty());
    const auto all = disk::list_disks({});
    ASSERT_TRUE(all);
    EXPECT_EQ(std::ranges::count(*all, disk.kname, &Disk::kname), 0);
  }
}

TEST_F(Machine, ReadOnlyDevices) {
  const LoopDevice loop(MiB, 512, "--read-only");
  EXPECT_TRUE(describe(loop.path()).read_only);
}

TEST_F(Machine, TheSequenceNumberIsAnotherAfterReattaching) {
  const LoopDevice first(MiB);
  const Disk before = describe(first.path());
  EXPECT_EQ(describe(first.path()).identity(), before.identity());
  const LoopDevice second(MiB);
  EXPECT_NE(describe(second.path()).sequence, before.sequence);
  EXPECT_NE(before.sequence, 0U);
}

TEST_F(Machine, NamedDevicesAloneInLsblksOrderAndOnce) {
  const LoopDevice first(MiB), second(2 * MiB);
  TempDir dir;
  std::filesystem::create_symlink(first.path(), dir.path("link"));
  const auto disks =
      disk::list_disks({.only = {second.path(), dir.path("link"), first.path(), second.path()}});
  ASSERT_TRUE(disks) << disks.error().message();
  std::vector<std::string> names, expected = {first.path(), second.path()};
  for (const Disk& disk : *disks) names.push_back(disk.name);
  std::ranges::sort(expected, {}, [](const auto& path) { return std::pair(path.size(), path); });
  EXPECT_EQ(names, expected);
}

TEST_F(Machine, WhatIsNoDiskIsRefused) {
  TempDir dir;
  std::ofstream(dir.path("file")) << "no disk";
  const auto refusal = [](const std::string& path) {
    const auto disk = disk::describe_disk(path, {});
    EXPECT_FALSE(disk) << path;
    return disk ? Error(Errc::internal_bug, "") : disk.error();
  };
  EXPECT_EQ(refusal(dir.path("nothing")).code(), Errc::device_missing);
  EXPECT_EQ(refusal(dir.path("file")).code(), Errc::device_unsuitable);
  EXPECT_EQ(refusal("/dev/null").code(), Errc::device_unsuitable);
  std::string freed;
  {
    const LoopDevice loop(MiB);
    freed = loop.path();
  }
  EXPECT_EQ(refusal(freed).code(), Errc::device_unsuitable) << freed << " has no file any more";

  const LoopDevice loop(8 * MiB);
  run("addpart " + loop.path() + " 1 2048 2048");
  EXPECT_THAT(refusal(loop.path() + "p1").message(), HasSubstr("is a partition of " + loop.path()));
  run("delpart " + loop.path() + " 1");
}

TEST_F(Machine, UsesAreTold) {
  const LoopDevice loop(64 * MiB);
  const Mount mount(loop.path());
  EXPECT_THAT(describe(loop.path()).users, ElementsAre(HasSubstr("mounted on " + mount.path())));
  EXPECT_FALSE(describe(loop.path()).running_system);
}

TEST_F(Machine, TablesAndSignaturesAsBlkidFindsThem) {
  struct Case {
    const char* make;   // a command; the device's path comes behind it
    const char* table;  // as blkid calls it
    const char* key;    // blkid's name for it
  };
  const Case cases[] = {
      {"sgdisk -n 1:2048:+1M", "gpt", "PTTYPE"},
      {"echo 'label: dos\nlabel-id: 0x1234abcd\n,1M' | sfdisk -q", "dos", "PTTYPE"},
      {"mkfs.ext4 -q", "ext4", "TYPE"},
      {"mkswap -q", "swap", "TYPE"},
      {"mkfs.vfat", "vfat", "TYPE"},
  };
  for (const unsigned sector : {512U, 4096U}) {
    for (const Case& one : cases) {
      SCOPED_TRACE(one.make);
      const LoopDevice loop(64 * MiB, sector);
      run(one.make + (" " + loop.path()));
      const Disk disk = describe(loop.path());
      EXPECT_EQ(disk.table, one.table);
      std::string value = run("blkid --probe --output value --match-tag " + std::string(one.key) +
                              " " + loop.path());
      EXPECT_EQ(disk.table + "\n", value);
      if (one.key != std::string("PTTYPE")) {
        EXPECT_EQ(disk.table_id, "");
        continue;
      }
      value = run("blkid --probe --output value --match-tag PTUUID " + loop.path());
      EXPECT_EQ(disk.table_id + "\n", value);
      EXPECT_NE(disk.table_id, "");
    }
  }
}

TEST_F(Machine, ATableCountsBeforeTheSignatureOfAFileSystemThatWasThere) {
  const LoopDevice loop(256 * MiB);
  run("mkfs.btrfs -q " + loop.path());
  EXPECT_EQ(describe(loop.path()).table, "btrfs");
  run("sgdisk -n 1:2048:+1M " + loop.path());
  run("blkid --probe --match-types btrfs " + loop.path());  // it is still there
  EXPECT_EQ(describe(loop.path()).table, "gpt");
}

TEST_F(Machine, SeveralSignaturesAreAmbiguous) {
  const LoopDevice loop(256 * MiB);
  run("mkfs.btrfs -q " + loop.path());  // from 64 KiB on; swap's is at 4 KiB
  run("printf 'SWAPSPACE2' | dd of=" + loop.path() + " bs=1 seek=4086 conv=notrunc status=none");
  run("printf '\\001\\000\\000\\000\\377\\017\\000\\000' | dd of=" + loop.path() +
      " bs=1 seek=1024 conv=notrunc status=none");
  EXPECT_EQ(describe(loop.path()).table, "ambiguous");
}

TEST_F(Machine, LookingMakesNoWorkForUdev) {
  // udev looks again at every device that was closed after being open for writing.
  const LoopDevice loop(8 * MiB);
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), loop.path().c_str(), IN_CLOSE), 0);
  describe(loop.path());
  alignas(inotify_event) char buffer[1024];
  inotify_event event{};
  for (ssize_t n = 0; (n = ::read(watch.get(), buffer, sizeof buffer)) > 0;)
    for (ssize_t at = 0; at < n; at += static_cast<ssize_t>(sizeof event + event.len)) {
      std::memcpy(&event, buffer + at, sizeof event);
      EXPECT_EQ(event.mask & IN_CLOSE_WRITE, 0U);
    }
  EXPECT_EQ(event.mask & IN_CLOSE_NOWRITE, static_cast<unsigned>(IN_CLOSE_NOWRITE));
}

TEST_F(Machine, WhatDoesNotAnswerIsListedAllTheSame) {
  // Reads of a loop device whose file is on a frozen file system still go through; what hangs is
  // any read when there is no time to wait for it.
  const LoopDevice loop(8 * MiB);
  run("sgdisk -n 1:2048:+1M " + loop.path());
  disk::InventoryOptions hurried;
  hurried.patience = std::chrono::milliseconds(0);
  const auto disk = disk::describe_disk(loop.path(), hurried);
  ASSERT_TRUE(disk) << disk.error().message();
  EXPECT_EQ(disk->size, 8 * MiB);
  // Until its thread has let go of the device it cannot be detached for good.
  for (int i = 0; i < 1000 && describe(loop.path()).table != "gpt"; ++i) ::usleep(10'000);
}

}  // namespace
}  // namespace ingot::test
