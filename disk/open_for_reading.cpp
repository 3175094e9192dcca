#include "disk/open_for_reading.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "disk/core/buffer.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint32_t kFileAlignment = 4096;

Error open_error(const std::string& path, int error) {
  if (error == ENOENT || error == ENXIO || error == ENODEV || error == ENOTDIR)
    return system_error(Errc::device_missing, "opening " + path, error,
                        "check the name with lsblk");
  if (error == EACCES || error == EPERM)
    return system_error(Errc::device_permission, "opening " + path, error, "run this as root");
  return system_error(Errc::device_unsuitable, "opening " + path, error,
                      "check the disk's health (dmesg)");
}

Result<void> measure_disk(Claim& target, const struct stat& facts) {
  if (const std::string disk = parent_disk(facts.st_rdev); !disk.empty())
    return fail(Errc::device_unsuitable, fmt::format("{} is a partition, not a disk", target.path),
                "name the whole disk: /dev/" + disk);
  int sector = 0;
  if (::ioctl(target.fd.get(), BLKGETSIZE64, &target.size) != 0 ||
      ::ioctl(target.fd.get(), BLKSSZGET, &sector) != 0)
    return tl::unexpected(open_error(target.path, errno));
  if (sector < 512 || sector > static_cast<int>(kBufferAlignment) ||
      !std::has_single_bit(static_cast<unsigned>(sector)))
    return fail(Errc::device_unsuitable,
                fmt::format("{} has sectors of {} bytes", target.path, sector));
  target.block_device = true;
  target.logical_sector = static_cast<std::uint32_t>(sector);
  target.io_alignment = target.direct ? target.logical_sector : 1;
  return {};
}

}  // namespace

Result<ReadableTarget> open_for_reading(const std::string& path) {
  ReadableTarget made;
  Claim& target = made.target;
  target.path = path;
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return tl::unexpected(open_error(path, errno));
  if (!S_ISBLK(facts.st_mode) && !S_ISREG(facts.st_mode))
    return fail(Errc::device_unsuitable,
                fmt::format("{} is neither a disk nor a regular file", path),
                "name a whole disk such as /dev/sda, or a file");
  target.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
  alignas(kFileAlignment) std::byte block[kFileAlignment];
  // Some file systems refuse each request instead of the opening.
  target.direct =
      target.fd && (::pread(target.fd.get(), block, sizeof block, 0) >= 0 || errno != EINVAL);
  if (!target.direct) target.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target.fd) return tl::unexpected(open_error(path, errno));
  if (::fstat(target.fd.get(), &facts) != 0) return tl::unexpected(open_error(path, errno));
  if (!target.direct) ::posix_fadvise(target.fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (S_ISBLK(facts.st_mode)) {
    INGOT_TRY(measure_disk(target, facts));
    made.uses = uses_of(facts.st_rdev);
  } else if (S_ISREG(facts.st_mode)) {
    target.size = static_cast<std::uint64_t>(facts.st_size);
    target.io_alignment = target.direct ? kFileAlignment : 1;
    made.uses = uses_of_file(facts.st_dev, facts.st_ino);
  } else {
    return fail(Errc::device_changed, fmt::format("{} became something else just now", path),
                "try again");
  }
  if (target.size == 0)
    return fail(Errc::device_unsuitable, fmt::format("{} is empty", path),
                "name the disk that the image was written onto");
  return made;
}

}  // namespace ingot::disk
