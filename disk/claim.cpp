#include "disk/claim.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <bit>
#include <utility>

#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"
#include "disk/device_lock.hpp"
#include "disk/identity.hpp"
#include "disk/in_use.hpp"

namespace ingot::disk {
namespace {

// O_DIRECT on a file system asks for its logical block at least; this is enough for nearly all.
constexpr std::uint32_t kFileAlignment = 4096;
// Larger sectors (a few kernels allow them) would not fit the buffers' alignment.
constexpr int kMaxSector = kBufferAlignment;

Error open_error(const std::string& path, int error) {
  switch (error) {
    case EBUSY:
      return Error(Errc::device_in_use, fmt::format("{} is in use by another program", path),
                   "find out which (lsof, lsblk), end it, and try again");
    case EACCES:
    case EPERM:
      return system_error(Errc::device_permission, "opening " + path, error, "run this as root");
    case EROFS:
      return Error(Errc::device_read_only, fmt::format("{} is read-only", path),
                   "clear its write protection (blockdev --setrw) or choose another disk");
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return system_error(Errc::device_missing, "opening " + path, error,
                          "check the name with lsblk");
    default:
      return system_error(Errc::device_unsuitable, "opening " + path, error,
                          "check the disk's health (dmesg)");
  }
}

Result<UniqueFd> open_fd(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd) return tl::unexpected(open_error(path, errno));
  return fd;
}

// O_DIRECT if the device has it (few have not): through the page cache otherwise.
Result<UniqueFd> open_device(const std::string& path, int flags, bool& direct) {
  auto opened = open_fd(path, flags | O_DIRECT);
  direct = opened.has_value();
  if (!opened && opened.error().code() == Errc::device_unsuitable) opened = open_fd(path, flags);
  return opened;
}

Result<UniqueFd> open_block(const std::string& path, dev_t device, const ClaimOptions& options,
                            bool& direct) {
  const int access = options.read_only ? O_RDONLY : O_RDWR;
  auto opened = open_device(path, access | O_EXCL, direct);
  if (opened || opened.error().code() != Errc::device_in_use) return opened;
  if (!options.force)
    return fail(Errc::device_in_use, fmt::format("{} is in use by {}", path, openers_of(device)),
                "find out what it is for (lsof, lsblk), end it, and try again");
  if (!running_system_located())
    return fail(Errc::device_running_system,
                fmt::format("{} is in use by {}, and it cannot be told on which disk the running "
                            "system is: it may be this one",
                            path, openers_of(device)),
                "end what uses it, or start from a RAM disk");
  return open_device(path, access, direct);
}

Result<Claim> claim_block(const std::string& path, const struct stat& before,
                          const ClaimOptions& options) {
  if (const std::string disk = parent_disk(before.st_rdev); !disk.empty())
    return fail(Errc::device_unsuitable, fmt::format("{} is a partition, not a disk", path),
                "name the whole disk: /dev/" + disk);
  INGOT_TRY(check_unused(uses_of(before.st_rdev), path, options.force));
  Claim target;
  target.path = path;
  target.block_device = true;
  INGOT_TRY_ASSIGN(target.fd, open_block(path, before.st_rdev, options, target.direct));

  struct stat now {};
  if (::fstat(target.fd.get(), &now) != 0 || !S_ISBLK(now.st_mode) || now.st_rdev != before.st_rdev)
    return fail(Errc::device_changed, fmt::format("{} became another device just now", path),
                "devices are being added or removed; try again when that has settled");
  if (options.expected) INGOT_TRY(check_identity(target.fd.get(), *options.expected, path));
  INGOT_TRY(lock_device(target.fd.get(), path));
  // What was mounted between the first look and the exclusive open shows now; nothing can be
  // mounted from here on.
  INGOT_TRY(check_unused(uses_of(now.st_rdev), path, options.force));

  int read_only = 0, sector = 0;
  if (::ioctl(target.fd.get(), BLKGETSIZE64, &target.size) != 0 ||
      ::ioctl(target.fd.get(), BLKSSZGET, &sector) != 0 ||
      ::ioctl(target.fd.get(), BLKROGET, &read_only) != 0)
    return tl::unexpected(system_error(Errc::device_unsuitable, "asking for the size of " + path,
                                       errno, "check the disk's health (dmesg)"));
  if (read_only != 0) return tl::unexpected(open_error(path, EROFS));
  if (target.size == 0)
    return fail(Errc::device_unsuitable, fmt::format("{} has no medium", path),
                "insert one, or choose another disk");
  if (sector < 512 || sector > kMaxSector || !std::has_single_bit(static_cast<unsigned>(sector)))
    return fail(Errc::device_unsuitable,
                fmt::format("{} has sectors of {} bytes; 512 to {} are supported", path, sector,
                            kMaxSector),
                "choose another disk");
  target.logical_sector = static_cast<std::uint32_t>(sector);
  target.io_alignment = target.logical_sector;
  return target;
}

// Whether O_DIRECT works, not only opens: some file systems refuse each request instead.
bool answers_directly(int fd) {
  alignas(kFileAlignment) std::byte block[kFileAlignment];
  return ::pread(fd, block, sizeof block, 0) >= 0 || errno != EINVAL;
}

Result<Claim> finish_file(Claim target, UniqueFd fd, const ClaimOptions& options) {
  target.buffered_fd = std::move(fd);
  struct stat now {};
  if (::flock(target.buffered_fd.get(), LOCK_EX | LOCK_NB) != 0)
    return tl::unexpected(open_error(target.path, EBUSY));
  if (::fstat(target.buffered_fd.get(), &now) != 0)
    return tl::unexpected(open_error(target.path, errno));
  target.size = static_cast<std::uint64_t>(now.st_size);
  // A file that holds something has its size already; an empty one is as good as a missing one.
  if (options.create_size && target.size == 0) {
    const auto size = static_cast<off_t>(*options.create_size);
    if (!options.read_only && (size < 0 || ::ftruncate(target.buffered_fd.get(), size) != 0))
      return tl::unexpected(
          system_error(Errc::device_unsuitable,
                       fmt::format("making {} {} bytes large", target.path, *options.create_size),
                       size < 0 ? EFBIG : errno, "choose a size that the file system can hold"));
    target.size = *options.create_size;
  }
  if (target.size == 0)
    return fail(Errc::device_too_small, fmt::format("{} is an empty file", target.path),
                "give the size of the disk to make with --size");
  // A second descriptor of the same file: O_DIRECT for all that is aligned.
  const std::string again = fmt::format("/proc/self/fd/{}", target.buffered_fd.get());
  const int access = options.read_only ? O_RDONLY : O_RDWR;
  auto direct = open_fd(again, access | O_DIRECT);
  target.direct = direct.has_value() && answers_directly(direct->get());
  if (!target.direct) direct = open_fd(again, access);
  if (!direct) return tl::unexpected(direct.error());
  target.fd = *std::move(direct);
  target.io_alignment = target.direct ? kFileAlignment : 1;
  return target;
}

Result<Claim> claim_file(const std::string& path, const ClaimOptions& options) {
  INGOT_TRY_ASSIGN(UniqueFd fd, open_fd(path, options.read_only ? O_RDONLY : O_RDWR));
  struct stat now {};
  if (::fstat(fd.get(), &now) != 0 || !S_ISREG(now.st_mode))
    return fail(Errc::device_changed, fmt::format("{} became something else just now", path),
                "try again");
  INGOT_TRY(check_unused(uses_of_file(now.st_dev, now.st_ino), path, options.force));
  Claim target;
  target.path = path;
  return finish_file(std::move(target), std::move(fd), options);
}

Result<Claim> create_file(const std::string& path, const ClaimOptions& options) {
  Claim target;
  target.path = path;
  if (options.read_only) {
    // A rehearsal makes nothing: a file of that size that has no name.
    UniqueFd fd(::memfd_create("ingot", MFD_CLOEXEC));
    if (!fd) return tl::unexpected(open_error(path, errno));
    ClaimOptions writable = options;
    writable.read_only = false;
    return finish_file(std::move(target), std::move(fd), writable);
  }
  INGOT_TRY_ASSIGN(UniqueFd fd, open_fd(path, O_RDWR | O_CREAT | O_EXCL));
  auto made = finish_file(std::move(target), std::move(fd), options);
  if (made)
    made->created = true;
  else
    ::unlink(path.c_str());
  return made;
}

}  // namespace

Result<Claim> claim(const std::string& path, const ClaimOptions& options) {
  struct stat before {};
  if (::stat(path.c_str(), &before) != 0) {
    if (errno == ENOENT && options.create_size) return create_file(path, options);
    if (errno == ENOENT)
      return fail(
          Errc::device_missing, fmt::format("{} does not exist", path),
          "check the name with lsblk; to make a disk image file, give its size with --size");
    return tl::unexpected(open_error(path, errno));
  }
  // Before any look at its uses: they would be those of another disk.
  if (options.expected && (!S_ISBLK(before.st_mode) || before.st_rdev != options.expected->number))
    return fail(Errc::device_changed,
                fmt::format("{} is not the disk any more that was chosen", path),
                "devices are being added or removed; look again (lsblk) and start over");
  if (S_ISBLK(before.st_mode)) return claim_block(path, before, options);
  if (S_ISREG(before.st_mode)) return claim_file(path, options);
  return fail(Errc::device_unsuitable,
              fmt::format("{} is {}, neither a disk nor a regular file", path,
                          S_ISDIR(before.st_mode)   ? "a directory"
                          : S_ISCHR(before.st_mode) ? "a character device"
                                                    : "a special file"),
              "name a whole disk such as /dev/sda, or a file");
}

Result<Claim> share(const Claim& target) {
  Claim shared;
  for (const auto& [from, to] :
       {std::pair{&target.fd, &shared.fd}, std::pair{&target.buffered_fd, &shared.buffered_fd}}) {
    if (!*from) continue;
    *to = UniqueFd(::fcntl(from->get(), F_DUPFD_CLOEXEC, 0));
    if (!*to)
      return tl::unexpected(system_error(Errc::internal_bug,
                                         "a second descriptor of " + target.path, errno,
                                         "raise the limit of open files (ulimit -n)"));
  }
  shared.path = target.path;
  shared.block_device = target.block_device;
  shared.size = target.size;
  shared.logical_sector = target.logical_sector;
  shared.io_alignment = target.io_alignment;
  shared.direct = target.direct;
  return shared;
}

}  // namespace ingot::disk
