#include "disk/identity.hpp"

#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// Linux 5.15 and later; older headers do not have it.
#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, __u64)
#endif

namespace ingot::disk {
namespace {

tl::unexpected<Error> changed(const std::string& path, const std::string& what) {
  return fail(Errc::device_changed,
              fmt::format("{} is not the disk any more that was chosen: {}", path, what),
              "devices are being added or removed; look again (lsblk) and start over");
}

}  // namespace

Result<void> check_identity(int fd, const DiskIdentity& expected, const std::string& path) {
  struct stat now {};
  if (::fstat(fd, &now) != 0 || !S_ISBLK(now.st_mode)) return changed(path, "it is no disk");
  if (now.st_rdev != expected.number)
    return changed(path,
                   fmt::format("it is device {}:{} and was {}:{}", major(now.st_rdev),
                               minor(now.st_rdev), major(expected.number), minor(expected.number)));
  std::uint64_t sequence = 0;
  if (expected.sequence != 0 && ::ioctl(fd, BLKGETDISKSEQ, &sequence) == 0 &&
      sequence != expected.sequence)
    return changed(path, fmt::format("another one has taken its place (sequence number {}, was {})",
                                     sequence, expected.sequence));
  std::uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0 || (expected.size != 0 && size != expected.size))
    return changed(path, fmt::format("it has {} bytes and had {}", size, expected.size));
  return {};
}

}  // namespace ingot::disk
