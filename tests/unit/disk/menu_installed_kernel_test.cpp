// A whole disk: its file systems are mounted, its menu is read, its kernel is opened. Needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "disk/menu/installed_kernel.hpp"
#include "tests/support/boot_tree.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

std::string content(int fd) {
  std::string text(4096, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

bool is_mounted(const std::string& device) {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);)
    if (line.starts_with(device)) return true;
  return false;
}

class InstalledKernelTest : public testing::Test {
 protected:
  // A GPT with XBOOTLDR as partition 1, and something else as partition 2. Whether the kernel has
  // devices of them depends on what it was built with.
  InstalledKernelTest() : loop(64 * kMiB) {
    test::run("printf 'label: gpt\\nstart=2048,size=49152,type=" +
              std::string("BC13C2FF-59E6-4262-A352-B275FD6F7172") +
              "\\nstart=51200,size=49152,type=L\\n' | sfdisk --quiet --no-reread --wipe never " +
              loop.path());
  }
  // A file system made of a directory; nothing is mounted for it.
  void make(unsigned partition, const std::string& options = "") {
    const std::string file = dir.path("fs");
    test::run("rm -f " + file + "; truncate -s 24M " + file + " && mke2fs -q -F -t ext4 " +
              options + " -d " + tree.folder_of(partition - 1) + " " + file + " && dd if=" + file +
              " of=" + loop.path() + " bs=1M conv=notrunc,fsync status=none seek=" +
              std::to_string(partition == 1 ? 1 : 25));
  }
  Result<InstalledKernel> find(const std::string& device = "") {
    InstalledKernelOptions options;
    options.firmware = "/none";
    return find_installed_kernel(device.empty() ? loop.path() : device, options, {});
  }

  test::LoopDevice loop;
  test::BootTree tree;
  test::TempDir dir;
};

TEST_F(InstalledKernelTest, GrubOnAPartitionOfItsOwn) {
  tree.add();
  tree.add();
  tree.put(0, "/grub/grub.cfg",
           "search --set=root --label boot\nmenuentry 'A b' {\n linux /vmlinuz root=LABEL=r\n"
           " initrd /ucode.img /initrd.img\n}\n");
  tree.put(0, "/vmlinuz-6", "KERNEL");
  tree.link(0, "/vmlinuz", "/vmlinuz-6");
  tree.put(0, "/ucode.img", "12345");
  tree.put(0, "/initrd.img", "INITRD");
  tree.put(1, "/etc/os-release");
  make(1, "-L boot");
  make(2);
  {
    const auto found = find();
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(content(found->kernel.get()), "KERNEL");
    EXPECT_EQ(content(found->initrd.get()), std::string("12345\0\0\0INITRD", 14));
    EXPECT_EQ(found->command_line, "BOOT_IMAGE=/vmlinuz root=LABEL=r");
    EXPECT_EQ(found->title, "A b");
    EXPECT_EQ(found->description,
              "/grub/grub.cfg: kernel /vmlinuz, initrd /ucode.img, initrd /initrd.img on "
              "partition 1");
    EXPECT_FALSE(is_mounted(loop.path()));
  }
  // Nobody uses the disk any more, as O_EXCL tells.
  for (int tries = 0; tries < 100; ++tries) {
    const UniqueFd alone(::open(loop.path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (alone) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ADD_FAILURE() << loop.path() << " is still in use";
}

TEST_F(InstalledKernelTest, EntriesOnTheExtendedBootLoaderPartition) {
  tree.add();
  tree.put(0, "/loader/entries/os.conf", "title OS\nlinux /linux\noptions quiet\n");
  tree.put(0, "/linux", "KERNEL");
  make(1);
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(content(found->kernel.get()), "KERNEL");
  EXPECT_FALSE(found->initrd);
  EXPECT_EQ(found->command_line, "quiet");
}

// Where the kernel has a device of the partition, that is mounted.
TEST_F(InstalledKernelTest, APartitionThatTheKernelKnows) {
  tree.add();
  tree.put(0, "/grub2/grub.cfg", "menuentry x { linux /k }\n");
  tree.put(0, "/k", "KERNEL");
  make(1);
  const test::LoopDevice other(64 * kMiB, 512, "--partscan");
  test::run("dd if=" + loop.path() + " of=" + other.path() + " bs=1M conv=fsync status=none");
  test::run("partx --update " + other.path());
  ASSERT_TRUE(std::filesystem::exists(other.path() + "p1"));
  const auto found = find(other.path());
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(content(found->kernel.get()), "KERNEL");
  // The partition is in use: it cannot be taken away.
  EXPECT_NE(std::system(("delpart " + other.path() + " 1 2>/dev/null").c_str()), 0);
}

TEST_F(InstalledKernelTest, AnXfsOrBtrfsRoot) {
  for (const char* make_it : {"mkfs.xfs -q -f", "mkfs.btrfs -q -f -M"}) {
    const test::LoopDevice disk(400 * kMiB);
    {
      const test::Mount mount(disk.path(), make_it);
      std::filesystem::create_directories(mount.path("boot/grub2"));
      std::ofstream(mount.path("boot/grub2/grub.cfg")) << "menuentry x { linux /boot/k a }\n";
      std::ofstream(mount.path("boot/k")) << "KERNEL";
    }
    const auto found = find(disk.path());
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(content(found->kernel.get()), "KERNEL");
    EXPECT_EQ(found->description, "/boot/grub2/grub.cfg: kernel /boot/k");
  }
}

TEST_F(InstalledKernelTest, NothingIsWrittenToTheDisk) {
  tree.add();
  tree.put(0, "/grub/grub.cfg", "menuentry x { linux /k }\n");
  tree.put(0, "/k");
  make(1);
  // As after a power cut: the journal would have to be replayed.
  test::run("debugfs -w -R 'feature needs_recovery' '" + loop.path() +
            "?offset=1048576' >/dev/null 2>&1");
  const std::string before = test::run("sync; sha256sum <" + loop.backing());
  EXPECT_TRUE(find());
  EXPECT_EQ(test::run("sync; sha256sum <" + loop.backing()), before);
}

TEST_F(InstalledKernelTest, WhatIsMissing) {
  // No file system at all.
  auto found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::device_unsuitable);
  // No menu.
  tree.add();
  tree.put(0, "/a");
  make(1);
  found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::image_unsupported);
  EXPECT_NE(found.error().message().find("neither a grub.cfg"), std::string::npos);
  // No kernel; a command line that is too long.
  for (const std::string& entry :
       {std::string("linux /none"), "linux /a " + std::string(3000, 'x')}) {
    tree.put(0, "/grub/grub.cfg", "menuentry x { " + entry + " }\n");
    make(1);
    found = find();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Errc::image_unsupported) << found.error().message();
  }
  // No disk.
  EXPECT_EQ(find(loop.backing()).error().code(), Errc::device_unsuitable);
  EXPECT_EQ(find("/dev/none").error().code(), Errc::device_missing);
}

TEST_F(InstalledKernelTest, ToldToStop) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(find_installed_kernel(loop.path(), {}, stop.get_token()).error().code(),
            Errc::cancelled);
}

}  // namespace
}  // namespace ingot::disk
