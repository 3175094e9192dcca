#include "disk/menu/installed_kernel.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "disk/boot/entry_text.hpp"
#include "disk/device_lock.hpp"
#include "disk/menu/boot_menu.hpp"
#include "disk/menu/mounted_volumes.hpp"
#include "disk/open_for_reading.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kArchiveAlignment = 4;  // of a cpio archive behind another one
constexpr std::uint64_t kStep = 8 * MiB;        // copied between two looks at the stop token

Result<UniqueFd> open_disk(const std::string& device) {
  INGOT_TRY_ASSIGN(const ReadableTarget checked, open_for_reading(device));
  if (!checked.target.block_device)
    return fail(Errc::device_unsuitable, device + " is a file: nothing on it can be mounted");
  const std::string same = fmt::format("/proc/self/fd/{}", checked.target.fd.get());
  UniqueFd fd(::open(same.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return tl::unexpected(system_error(Errc::device_permission, "opening " + device, errno));
  return fd;
}

struct Opened {
  UniqueFd fd;
  std::uint64_t offset = 0, size = 0;
  bool whole = true;
};

Result<Opened> open_file(const BootVolumes& volumes, const BootFile& file) {
  Opened opened;
  INGOT_TRY_ASSIGN(opened.fd, volumes[file.volume].tree.open(file.path));
  struct stat facts {};
  if (::fstat(opened.fd.get(), &facts) != 0)
    return tl::unexpected(system_error(Errc::image_unsupported, shown(file.path), errno));
  const auto all = static_cast<std::uint64_t>(facts.st_size);
  opened.offset = file.offset;
  opened.whole = file.offset == 0 && !file.size;
  if (file.offset > all || file.size.value_or(0) > all - file.offset)
    return fail(Errc::image_unsupported, shown(file.path) + ": it is shorter than it was");
  opened.size = file.size.value_or(all - file.offset);
  return opened;
}

Result<void> append(int memory, std::uint64_t& at, const Opened& from, const std::string& what,
                    const std::stop_token& stop) {
  at = align_up(at, kArchiveAlignment);
  if (::ftruncate(memory, static_cast<off_t>(at)) != 0 ||
      ::lseek(memory, static_cast<off_t>(at), SEEK_SET) < 0)
    return tl::unexpected(system_error(Errc::image_unsupported, "copying " + what, errno));
  auto offset = static_cast<off_t>(from.offset);
  for (std::uint64_t left = from.size; left > 0;) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "cancelled");
    const ssize_t got = ::sendfile(memory, from.fd.get(), &offset, std::min(left, kStep));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return tl::unexpected(
          system_error(Errc::image_unsupported, "copying " + what, got < 0 ? errno : EIO));
    left -= static_cast<std::uint64_t>(got);
    at += static_cast<std::uint64_t>(got);
  }
  return {};
}

// One file as it is; stretches of files, and several files, in memory.
Result<UniqueFd> put_together(const BootVolumes& volumes, const std::vector<BootFile>& files,
                              std::uint64_t limit, const char* what, const std::stop_token& stop) {
  UniqueFd memory;
  std::uint64_t at = 0;
  for (const BootFile& file : files) {
    INGOT_TRY_ASSIGN(Opened opened, open_file(volumes, file));
    if (opened.size > limit - std::min(at, limit))
      return fail(Errc::image_unsupported, fmt::format("{} is larger than {}: {}", what,
                                                       format_bytes(limit), shown(file.path)));
    if (files.size() == 1 && opened.whole) return std::move(opened.fd);
    if (!memory) memory = UniqueFd(::memfd_create("ingot-kexec", MFD_CLOEXEC));
    if (!memory)
      return tl::unexpected(system_error(Errc::image_unsupported, "copying the kernel", errno));
    INGOT_TRY(append(memory.get(), at, opened, shown(file.path), stop));
  }
  if (!memory) return memory;
  // kexec_file_load() refuses a file that anybody has open for writing.
  UniqueFd readable(
      ::open(fmt::format("/proc/self/fd/{}", memory.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!readable)
    return tl::unexpected(system_error(Errc::image_unsupported, "copying the kernel", errno));
  return readable;
}

bool fits_kernel(const std::string& command_line) {
  return command_line.size() <= kLongestCommandLine &&
         std::ranges::none_of(command_line, [](char c) {
           return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
         });
}

std::string describe(const BootVolumes& volumes, const BootChoice& choice) {
  std::string text = fmt::format("{}: kernel {}", shown(choice.source), shown(choice.kernel.path));
  for (const BootFile& initrd : choice.initrds)
    if (!initrd.size) text += ", initrd " + shown(initrd.path);
  if (choice.kernel.size) text += ", a unified kernel image,";
  const unsigned partition = volumes[choice.kernel.volume].partition;
  if (partition != 0) text += fmt::format(" on partition {}", partition);
  return text;
}

}  // namespace

Result<InstalledKernel> find_installed_kernel(const std::string& device,
                                              const InstalledKernelOptions& options,
                                              const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const UniqueFd disk, open_disk(device));
  // udev looks at a disk that was just written, and its partitions are gone for a moment.
  INGOT_TRY(lock_device(disk.get(), device));
  INGOT_TRY_ASSIGN(const MountedVolumes mounted,
                   mount_volumes(disk.get(), device, options.sysfs, options.dev, stop));
  unlock_device(disk.get());
  std::string left_out;
  if (!mounted.left_out.empty())
    left_out = fmt::format(" (not mounted: {})", fmt::join(mounted.left_out, "; "));
  if (mounted.volumes.empty())
    return fail(Errc::device_unsuitable,
                fmt::format("{}: no file system on it can be mounted{}", device, left_out));
  BootFirmware firmware;
  std::error_code ignored;
  firmware.uefi = std::filesystem::exists(options.firmware, ignored);
  const auto choice = choose_boot(mounted.volumes, firmware);
  if (!choice) {  // names the volume, and so the disk, wherever there is one to name
    std::vector<std::string> seen;
    for (const BootVolume& volume : mounted.volumes)
      seen.push_back(fmt::format("partition {}", volume.partition));
    return fail(choice.error().code(), fmt::format("{} (looked at: {}){}", choice.error().message(),
                                                   fmt::join(seen, ", "), left_out));
  }
  if (!fits_kernel(choice->command_line))
    return fail(Errc::image_unsupported,
                fmt::format("{}: the kernel takes no such command line: {}", device,
                            shown(choice->command_line)));
  InstalledKernel found;
  INGOT_TRY_ASSIGN(found.kernel, put_together(mounted.volumes, {choice->kernel}, kLargestKernel,
                                              "the kernel", stop));
  INGOT_TRY_ASSIGN(found.initrd, put_together(mounted.volumes, choice->initrds, kLargestInitrds,
                                              "the initrd", stop));
  found.command_line = choice->command_line;
  found.title = choice->title;
  found.description = describe(mounted.volumes, *choice);
  return found;
}

}  // namespace ingot::disk
