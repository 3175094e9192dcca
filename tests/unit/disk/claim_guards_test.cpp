// What --force may and may not, who else may write to a disk, and whether it still is the chosen
// one: by trying to get past each. Real loop devices and processes. Needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <thread>

#include "disk/claim.hpp"
#include "disk/core/units.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using disk::claim;
using disk::ClaimOptions;

const ClaimOptions kForce{.force = true};

testing::AssertionResult taken(const std::string& path, const ClaimOptions& options) {
  const auto target = claim(path, options);
  if (target) return testing::AssertionSuccess();
  return testing::AssertionFailure() << target.error().message();
}

testing::AssertionResult refused(const std::string& path, const ClaimOptions& options, Errc code,
                                 const std::string& part = "") {
  const auto target = claim(path, options);
  if (target) return testing::AssertionFailure() << path << " was claimed";
  const Error& error = target.error();
  if (error.code() != code || error.message().find(part) == std::string::npos)
    return testing::AssertionFailure() << name(error.code()) << ": " << error.message();
  if (error.advice().empty()) return testing::AssertionFailure() << "no advice";
  return testing::AssertionSuccess();
}

// Another process that has claimed a target and sleeps on it, until it is killed.
class OtherProcess {
 public:
  OtherProcess(const std::string& path, const ClaimOptions& options) {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) std::abort();
    id_ = ::fork();
    if (id_ == 0) {
      const auto target = claim(path, options);
      const char answer = target ? 'y' : 'n';
      if (::write(ready[1], &answer, 1) == 1) ::pause();
      ::_exit(0);
    }
    char answer = 0;
    EXPECT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y') << "the other process could not claim " << path;
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~OtherProcess() { kill(); }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  void kill() {
    if (id_ > 0) {
      ::kill(id_, SIGKILL);
      ::waitpid(id_, nullptr, 0);
    }
    id_ = -1;
  }
  [[nodiscard]] std::string id() const { return std::to_string(id_); }

 private:
  pid_t id_ = -1;
};

disk::DiskIdentity identity_of(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  disk::DiskIdentity identity;
  EXPECT_EQ(::fstat(fd.get(), &info), 0);
  EXPECT_EQ(::ioctl(fd.get(), BLKGETSIZE64, &identity.size), 0);
  identity.number = info.st_rdev;
  std::ifstream("/sys/block" + path.substr(4) + "/diskseq") >> identity.sequence;
  return identity;
}

ClaimOptions expecting(const disk::DiskIdentity& identity) {
  ClaimOptions options;
  options.expected = identity;
  return options;
}

class Guards : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }
  TempDir dir;
};

TEST_F(Guards, ForceTakesWhatIsMounted) {
  const LoopDevice loop(64 * MiB, 512, "--partscan");
  {
    const Mount mount(loop.path());
    EXPECT_TRUE(refused(loop.path(), {}, Errc::device_mounted, mount.path()));
    EXPECT_TRUE(taken(loop.path(), kForce));
  }
  run("addpart " + loop.path() + " 1 2048 65536");
  const Mount mount(loop.path() + "p1");
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_mounted, "p1)"));
  EXPECT_TRUE(taken(loop.path(), kForce));
  EXPECT_TRUE(refused(loop.path() + "p1", kForce, Errc::device_unsuitable));
}

TEST_F(Guards, ForceTakesWhatIsUnderALoopDeviceOrOpenedByAnother) {
  const LoopDevice loop(8 * MiB);
  const std::string above = run("losetup --find --show " + loop.path());
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_in_use, above.substr(5, above.size() - 6)));
  EXPECT_TRUE(taken(loop.path(), kForce));
  detach_loop(above);
  const UniqueFd busy(::open(loop.path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  ASSERT_TRUE(busy);
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_in_use, std::to_string(::getpid())));
  EXPECT_TRUE(taken(loop.path(), kForce));
}

TEST_F(Guards, ForceTakesAFileUnderALoopDevice) {
  const LoopDevice loop(8 * MiB);
  std::string backing = run("losetup --noheadings --output BACK-FILE " + loop.path());
  backing.pop_back();
  EXPECT_TRUE(refused(backing, {}, Errc::device_in_use));
  EXPECT_TRUE(taken(backing, kForce));
}

TEST_F(Guards, ForceNeverTakesTheRunningSystemsSwap) {
  const LoopDevice loop(16 * MiB);
  run("mkswap " + loop.path() + " && swapon " + loop.path());
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_swap));
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_running_system, "swap"));
  run("swapoff " + loop.path());
  EXPECT_TRUE(taken(loop.path(), {}));
  const std::string file = dir.path("swapfile");
  run("dd if=/dev/zero of=" + file + " bs=1M count=16 status=none && chmod 600 " + file);
  run("mkswap " + file + " && swapon " + file);
  EXPECT_TRUE(refused(file, {}, Errc::device_swap));
  EXPECT_TRUE(refused(file, kForce, Errc::device_running_system, "swap"));
  run("swapoff " + file);
}

TEST_F(Guards, ForceNeverTakesADiskWithASwapFileInUse) {
  const LoopDevice loop(64 * MiB);
  const Mount mount(loop.path());
  const std::string file = mount.path("swapfile");
  run("dd if=/dev/zero of=" + file + " bs=1M count=16 status=none && chmod 600 " + file);
  run("mkswap " + file + " && swapon " + file);
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_running_system, file));
  run("swapoff " + file);
  EXPECT_TRUE(taken(loop.path(), kForce));
}

TEST_F(Guards, ForceDoesNotMakeADiskWritable) {
  const LoopDevice loop(8 * MiB);
  run("blockdev --setro " + loop.path());
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_read_only));
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_read_only));
  EXPECT_TRUE(refused(loop.path(), {.read_only = true}, Errc::device_read_only));
  run("blockdev --setrw " + loop.path());  // it would stay so for the next user of its number
}

TEST_F(Guards, TwoOfUsNeverHaveOneDisk) {
  const LoopDevice loop(8 * MiB);
  OtherProcess other(loop.path(), {});
  EXPECT_TRUE(refused(loop.path(), {}, Errc::device_in_use, "(process " + other.id() + ")"));
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_in_use, "(process " + other.id() + ")"));
  EXPECT_TRUE(refused(loop.path(), {.read_only = true, .force = true}, Errc::device_in_use));
  other.kill();
  EXPECT_TRUE(taken(loop.path(), {})) << "the lock is gone with its process";
}

TEST_F(Guards, NorDoTwoWithForce) {
  const LoopDevice loop(32 * MiB);
  const Mount mount(loop.path());
  OtherProcess other(loop.path(), kForce);
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_in_use, "(process " + other.id() + ")"));
  other.kill();
  EXPECT_TRUE(taken(loop.path(), kForce));
}

TEST_F(Guards, NorOneFile) {
  write_file(dir.path("disk"), std::vector<std::byte>(4 * MiB));
  OtherProcess other(dir.path("disk"), {});
  EXPECT_TRUE(refused(dir.path("disk"), kForce, Errc::device_in_use));
  other.kill();
  EXPECT_TRUE(taken(dir.path("disk"), {}));
}

TEST_F(Guards, TheLockIsKeptByTheLastCopy) {
  const LoopDevice loop(8 * MiB);
  const Mount mount(loop.path(), "mkfs.ext4 -q", "mnt");
  std::optional<disk::Claim> copy;
  {
    const auto first = claim(loop.path(), kForce);
    ASSERT_TRUE(first.has_value());
    copy = *disk::share(*first);
  }
  EXPECT_TRUE(refused(loop.path(), kForce, Errc::device_in_use));
  copy.reset();
  EXPECT_TRUE(taken(loop.path(), kForce));
}

TEST_F(Guards, ALookByUdevIsWaitedFor) {
  const LoopDevice loop(8 * MiB);
  // As udev does: a shared lock, for a moment.
  UniqueFd look(::open(loop.path().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(look.get(), LOCK_SH), 0);
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    look.reset();
  });
  EXPECT_TRUE(taken(loop.path(), {}));
  end.join();
}

TEST_F(Guards, UdevMayLookWhileItsNewsAreWaitedFor) {
  const LoopDevice loop(64 * MiB, 512, "--partscan");
  const auto target = claim(loop.path(), {});
  ASSERT_TRUE(target.has_value()) << target.error().message();
  const UniqueFd look(::open(loop.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::flock(look.get(), LOCK_SH | LOCK_NB), -1) << "udev keeps away while we write";
  EXPECT_TRUE(disk::reread_partitions(*target).has_value());
  EXPECT_EQ(::flock(look.get(), LOCK_SH | LOCK_NB), 0) << "but not for ever";
}

TEST_F(Guards, TheChosenDiskIsTaken) {
  const LoopDevice loop(8 * MiB);
  const disk::DiskIdentity chosen = identity_of(loop.path());
  EXPECT_NE(chosen.sequence, 0U) << "this kernel numbers its disks";
  EXPECT_TRUE(taken(loop.path(), expecting(chosen)));
}

TEST_F(Guards, AnotherIsNotEvenWithForce) {
  const LoopDevice loop(8 * MiB), other(8 * MiB);
  const disk::DiskIdentity chosen = identity_of(loop.path());
  const std::vector<std::function<void(disk::DiskIdentity&)>> changes{
      [&](auto& it) { it.number = identity_of(other.path()).number; },
      [](auto& it) { ++it.sequence; },
      [](auto& it) { it.size += 512; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    disk::DiskIdentity another = chosen;
    changes[i](another);
    ClaimOptions options = expecting(another);
    EXPECT_TRUE(refused(loop.path(), options, Errc::device_changed)) << i;
    options.force = true;
    EXPECT_TRUE(refused(loop.path(), options, Errc::device_changed)) << i;
  }
  write_file(dir.path("file"), std::vector<std::byte>(4 * MiB));
  EXPECT_TRUE(refused(dir.path("file"), expecting(chosen), Errc::device_changed));
}

// Loop devices have neither; so udev's record of one is written as udev would for a disk that has.
TEST_F(Guards, ADiskWithAnotherSerialNumberOrWwnIsNotTaken) {
  const LoopDevice loop(8 * MiB);
  const disk::DiskIdentity plain = identity_of(loop.path());
  const std::string record = "/run/udev/data/b" + std::to_string(major(plain.number)) + ":" +
                             std::to_string(minor(plain.number));
  std::filesystem::create_directories("/run/udev/data");
  std::ofstream(record) << "E:ID_SERIAL=Maker_Model_S1\nE:ID_SERIAL_SHORT=S1\n"
                        << "E:ID_WWN=0x5000c500a1b2c3d4\nV:1\n";
  for (const char* serial : {"", "S1", "Maker Model S1", "S2"}) {
    disk::DiskIdentity chosen = plain;
    chosen.serial = serial;
    if (std::string_view(serial) == "S2")
      EXPECT_TRUE(refused(loop.path(), expecting(chosen), Errc::device_changed, "S2"));
    else
      EXPECT_TRUE(taken(loop.path(), expecting(chosen))) << serial;
  }
  for (const char* wwn : {"0x5000c500a1b2c3d4", "naa.5000c500a1b2c3d4", "0x5000c500a1b2c3d5"}) {
    disk::DiskIdentity chosen = plain;
    chosen.wwn = wwn;
    if (std::string_view(wwn).ends_with('5'))
      EXPECT_TRUE(refused(loop.path(), expecting(chosen), Errc::device_changed, wwn));
    else
      EXPECT_TRUE(taken(loop.path(), expecting(chosen))) << wwn;
  }
  std::filesystem::remove(record);
  // Where no udev runs, its folders were ours.
  std::error_code in_use;
  for (const char* folder : {"/run/udev/data", "/run/udev"})
    std::filesystem::remove(folder, in_use);
  disk::DiskIdentity unknown = plain;
  unknown.serial = "S1";
  EXPECT_TRUE(taken(loop.path(), expecting(unknown))) << "nothing contradicts it";
}

// A loop device with a number that `losetup --find` gives nobody meanwhile.
TEST_F(Guards, ADiskThatWasReplacedByOneOfTheSameSizeIsNotTaken) {
  const int number = 1000 + ::getpid() % 1000;
  const std::string path = "/dev/loop" + std::to_string(number);
  for (const char* name : {"one", "two"}) {
    std::ofstream(dir.path(name)).close();
    std::filesystem::resize_file(dir.path(name), 8 * MiB);
  }
  run("losetup " + path + " " + dir.path("one"));
  const disk::DiskIdentity chosen = identity_of(path);
  EXPECT_TRUE(taken(path, expecting(chosen)));
  detach_loop(path);
  run("losetup " + path + " " + dir.path("two"));
  EXPECT_TRUE(refused(path, expecting(chosen), Errc::device_changed, "sequence number"));
  EXPECT_TRUE(taken(path, expecting(identity_of(path))));
  detach_loop(path);
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  // Busy as long as somebody has it open, as udev may have.
  for (int tries = 0; ::ioctl(control.get(), LOOP_CTL_REMOVE, number) != 0; ++tries) {
    ASSERT_LT(tries, 50) << "removing " << path << ": " << std::strerror(errno);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace
}  // namespace ingot::test
