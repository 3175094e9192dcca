// Which disk holds the running system, in roots of our own: a mount namespace that a test made and
// entered, with process 1 of its own, as a live medium or a RAM disk has it. Needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>

#include "disk/core/units.hpp"
#include "disk/in_use.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using disk::Use;

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

// Runs `inside` as process 1 of new namespaces, whose mounts are gone with it; its text is
// returned.
std::string in_namespaces(const std::function<std::string()>& inside) {
  int said[2];
  if (::pipe2(said, O_CLOEXEC) != 0) return "no pipe";
  const pid_t outer = ::fork();
  if (outer == 0) {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(1);
    const pid_t inner = ::fork();
    if (inner == 0) {
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
      const std::string text = inside();
      ::_exit(::write(said[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                              : 1);
    }
    int status = 0;
    ::waitpid(inner, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  ::close(said[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(said[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(said[0]);
  int status = 0;
  ::waitpid(outer, &status, 0);
  EXPECT_EQ(status, 0) << text;
  return text;
}

// Makes `root` the root directory, as an initramfs does; the old one goes out of sight.
void switch_root(const std::string& root) {
  run("mkdir -p " + root + "/proc " + root + "/dev " + root + "/sys " + root + "/old " + root +
      "/boot && mount -t proc proc " + root + "/proc && mount --rbind /dev " + root +
      "/dev && mount --rbind /sys " + root + "/sys");
  if (::syscall(SYS_pivot_root, root.c_str(), (root + "/old").c_str()) != 0 || ::chdir("/") != 0 ||
      ::umount2("/old", MNT_DETACH) != 0)
    ADD_FAILURE() << "switching to " << root << ": " << std::strerror(errno);
}

class RunningSystem : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }
  TempDir dir;
};

TEST_F(RunningSystem, ARamDiskHasNoDisk) {
  const LoopDevice loop(32 * MiB), swap(16 * MiB);
  run("mkfs.ext4 -q " + loop.path());
  run("mkswap " + swap.path());
  const dev_t number = number_of(loop.path()), swap_number = number_of(swap.path());
  const std::string root = dir.path("root");
  const std::string said = in_namespaces([&] {
    run("mkdir " + root + " && mount -t tmpfs tmpfs " + root);
    switch_root(root);
    std::string text = disk::running_system_located() ? "" : "not located\n";
    if (::mount(loop.path().c_str(), "/boot", "ext4", 0, nullptr) != 0) text += "no mount\n";
    if (::swapon(swap.path().c_str(), 0) != 0) text += "no swap\n";
    text += texts(disk::uses_of(number)) + texts(disk::uses_of(swap_number));
    ::swapoff(swap.path().c_str());
    return text;
  });
  EXPECT_EQ(said, "mounted on /boot\nin use as swap\n") << "as anywhere else";
}

TEST_F(RunningSystem, ARootOnADiskHasBootVarAndTheRest) {
  const LoopDevice system(64 * MiB), boot(32 * MiB);
  run("mkfs.ext4 -q " + system.path() + " && mkfs.ext4 -q " + boot.path());
  const dev_t number = number_of(system.path()), boot_number = number_of(boot.path());
  const std::string root = dir.path("root");
  const std::string said = in_namespaces([&] {
    run("mkdir " + root + " && mount " + system.path() + " " + root);
    switch_root(root);
    if (::mount(boot.path().c_str(), "/boot", "ext4", 0, nullptr) != 0) return std::string("no");
    return texts(disk::uses_of(number)) + texts(disk::uses_of(boot_number));
  });
  EXPECT_EQ(said, "mounted on /!\nmounted on /boot!\n");
}

// A live medium: a file system on the disk, in it an image, on that a loop device, over that an
// overlay with a tmpfs.
class LiveMedium : public RunningSystem {
 protected:
  LiveMedium() : live("/run/ingot-test-" + std::to_string(::getpid())) {
    run("mkfs.ext4 -q " + medium.path());
    std::filesystem::create_directory(live);
  }
  ~LiveMedium() override {
    if (!image.empty()) detach_loop(image);
    std::filesystem::remove(live);
  }
  // Fills the medium and attaches the image outside of the namespaces, to be rid of it again.
  void attach() {
    const std::string at = dir.path("fill"), content = dir.path("content");
    run("mkdir " + at + " " + content + " && mount " + medium.path() + " " + at);
    run("mksquashfs " + content + " " + at + "/root.img -quiet -no-progress");
    run("truncate --size %4096 " + at + "/root.img");
    image = run("losetup --find --show --read-only " + at + "/root.img");
    image.pop_back();
    run("umount --lazy " + at);
  }

  const LoopDevice medium{128 * MiB};
  const std::string live;
  std::string image;
};

TEST_F(LiveMedium, ItsDiskIsTheRunningSystems) {
  attach();
  const dev_t number = number_of(medium.path());
  const std::string root = dir.path("root");
  const std::string said = in_namespaces([&] {
    run("mkdir " + root + " && mount -t tmpfs tmpfs " + live + " && cd " + live +
        " && mkdir medium lower upper work && mount -o ro " + image + " lower" +
        " && mount -t overlay overlay -o lowerdir=" + live + "/lower,upperdir=" + live +
        "/upper,workdir=" + live + "/work " + root + " && mkdir -p " + root + live +
        " && mount --move " + live + " " + root + live);
    switch_root(root);
    return (disk::running_system_located() ? "" : "not located\n") + texts(disk::uses_of(number));
  });
  EXPECT_NE(said.find("mounted on / (" + image.substr(5) + ")!\n"), std::string::npos) << said;
  EXPECT_EQ(said.find("not located"), std::string::npos) << said;
}

TEST_F(LiveMedium, AlsoWhenItsLayersAreOutOfSight) {
  attach();
  const dev_t number = number_of(medium.path());
  const std::string root = dir.path("root");
  const std::string said = in_namespaces([&] {
    run("mkdir " + root + " && mount -t tmpfs tmpfs " + live + " && cd " + live +
        " && mkdir lower upper work && mount -t overlay overlay -o lowerdir=" + live +
        "/lower,upperdir=" + live + "/upper,workdir=" + live + "/work " + root);
    switch_root(root);
    return (disk::running_system_located() ? "located\n" : "") + texts(disk::uses_of(number));
  });
  EXPECT_NE(said.find("mounted for the running system (" + image.substr(5) + ")!\n"),
            std::string::npos)
      << said;
  EXPECT_EQ(said.find("located\n"), std::string::npos) << said;
}

}  // namespace
}  // namespace ingot::test
