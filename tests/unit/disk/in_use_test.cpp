// What uses a disk: real mounts, swap, overlays and stacks of loop devices. Needs root.
#include "disk/in_use.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using disk::Use;
using disk::uses_of;

dev_t number_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_rdev;
}

std::string texts(const std::vector<Use>& uses) {
  std::string all;
  for (const Use& use : uses) all += use.text + (use.running_system ? "!\n" : "\n");
  return all;
}

const Use* find(const std::vector<Use>& uses, const std::string& text) {
  const auto found = std::ranges::find(uses, text, &Use::text);
  EXPECT_NE(found, uses.end()) << "no use \"" << text << "\" among\n" << texts(uses);
  return found == uses.end() ? nullptr : &*found;
}

bool running(const std::vector<Use>& uses) {
  return std::ranges::any_of(uses, &Use::running_system);
}

class InUse : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }
  TempDir dir;
};

TEST_F(InUse, AFreeDiskHasNoUses) {
  const LoopDevice loop(8 * MiB);
  EXPECT_EQ(texts(uses_of(number_of(loop.path()))), "");
}

TEST_F(InUse, TheDiskOfTheRootIsTheRunningSystems) {
  // A container's root, an overlay, names no device.
  const std::string source = run("findmnt --noheadings --output SOURCE --target /");
  if (!source.starts_with("/dev/")) return;
  std::string name = source.substr(0, source.find_first_of("[\n"));
  if (const auto parent = disk::parent_disk(number_of(name)); !parent.empty())
    name = "/dev/" + parent;
  const auto uses = uses_of(number_of(name));
  EXPECT_TRUE(running(uses)) << texts(uses);
  EXPECT_EQ(disk::check_unused(uses, name).error().code(), Errc::device_running_system);
}

TEST_F(InUse, AMountIsNamedWithItsPartition) {
  const LoopDevice loop(64 * MiB, 512, "--partscan");
  run("addpart " + loop.path() + " 1 2048 65536");
  const Mount mount(loop.path() + "p1");
  const auto uses = uses_of(number_of(loop.path()));
  const std::string name = loop.path().substr(5);
  const Use* use = find(uses, "mounted on " + mount.path() + " (" + name + "p1)");
  ASSERT_NE(use, nullptr);
  EXPECT_EQ(use->kind, Use::Kind::mounted);
  EXPECT_EQ(use->code, Errc::device_mounted);
  EXPECT_FALSE(running(uses)) << texts(uses);
}

TEST_F(InUse, ActiveSwapIsTheRunningSystems) {
  const LoopDevice loop(16 * MiB);
  run("mkswap " + loop.path() + " && swapon " + loop.path());
  const auto uses = uses_of(number_of(loop.path()));
  run("swapoff " + loop.path());
  const Use* use = find(uses, "in use as swap");
  ASSERT_NE(use, nullptr);
  EXPECT_EQ(use->code, Errc::device_swap);
  EXPECT_TRUE(use->running_system);
}

TEST_F(InUse, AStackIsClimbedToItsTop) {
  // Disk, file system, file, loop device, btrfs, overlay, file, loop device.
  const LoopDevice below(512 * MiB);
  const Mount first(below.path());
  const LoopDevice middle(256 * MiB, 512, "", first.path());
  const Mount second(middle.path(), "mkfs.btrfs -q", "m n");
  const std::string top = dir.path("top");
  for (const char* folder : {"upper", "work"})
    std::filesystem::create_directory(second.path(folder));
  std::filesystem::create_directory(top);
  run("mount -t overlay overlay -o 'lowerdir=" + first.path() +
      ",upperdir=" + second.path("upper") + ",workdir=" + second.path("work") + "' " + top);
  const auto uses = uses_of(number_of(below.path()));
  run("umount " + top);
  const std::string name = " (" + middle.path().substr(5) + ")";
  find(uses, "mounted on " + first.path());
  find(uses, "in use by " + middle.path().substr(5) + " on its file " + first.path("disk"));
  find(uses, "mounted on " + second.path() + name);
  find(uses, "mounted on " + top);
  EXPECT_FALSE(running(uses)) << texts(uses);
}

TEST_F(InUse, EveryMemberOfABtrfsCounts) {
  const LoopDevice one(256 * MiB), other(256 * MiB);
  run("mkfs.btrfs -q -d single " + one.path() + " " + other.path() + " && btrfs device scan");
  const Mount mount(one.path(), "true");
  for (const auto* member : {&one, &other})
    find(uses_of(number_of(member->path())), "mounted on " + mount.path());
}

}  // namespace
}  // namespace ingot::test
