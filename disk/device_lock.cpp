#include "disk/device_lock.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 3s;  // udev's look at a disk takes milliseconds, at a sick one longer
constexpr auto kStep = 20ms;

struct Holder {
  std::string name;        // "ingot (process 42)", or ""
  bool exclusive = false;  // not just looking, as udev does
};

// Who holds a lock on this file. Source: proc_locks(5): number, kind, mode, access, process,
// "major:minor:inode" with the first two in hexadecimal.
Holder holder_of(int fd) {
  struct stat node {};
  if (::fstat(fd, &node) != 0) return {};
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    char kind[16] = {}, access[16] = {};
    long process = 0;
    unsigned high = 0, low = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%*d: %15s %*s %15s %ld %x:%x:%lu", kind, access, &process, &high,
                    &low, &inode) != 6 ||
        std::string_view(kind) != "FLOCK" || inode != node.st_ino ||
        makedev(high, low) != node.st_dev || process <= 0)
      continue;
    const std::string id = std::to_string(process);
    return {fmt::format("{} (process {})", sysfs::first_line("/proc/" + id + "/comm"), id),
            std::string_view(access) == "WRITE"};
  }
  return {};
}

}  // namespace

Result<void> lock_device(int fd, const std::string& path) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK)
      return tl::unexpected(system_error(Errc::device_unsuitable, "locking " + path, errno,
                                         "check the disk's health (dmesg)"));
    if (const Holder holder = holder_of(fd);
        holder.exclusive || std::chrono::steady_clock::now() > end)
      return fail(Errc::device_in_use,
                  fmt::format("{} is locked by {}", path,
                              holder.name.empty() ? "a process out of sight" : holder.name),
                  "only one program at a time may change a disk; wait for its end, or end it");
    std::this_thread::sleep_for(kStep);
  }
  return {};
}

void unlock_device(int fd) noexcept {
  ::flock(fd, LOCK_UN);
}

}  // namespace ingot::disk
