#include "disk/loop_table.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "disk/core/unique_fd.hpp"
#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

// The driver's word, or what the name says where the device cannot be opened.
bool find_backing(LoopEntry& loop) {
  const UniqueFd fd(::open(("/dev/" + loop.name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  loop_info64 info{};
  if (fd && ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) == 0) {
    if (info.lo_rdevice != 0) loop.block = info.lo_rdevice;
    loop.file_device = info.lo_device;
    loop.inode = info.lo_inode;
    return true;
  }
  struct stat named {};
  if (::stat(loop.backing.c_str(), &named) != 0) return false;
  if (S_ISBLK(named.st_mode)) loop.block = named.st_rdev;
  loop.file_device = named.st_dev;
  loop.inode = named.st_ino;
  return true;
}

}  // namespace

std::vector<LoopEntry> read_loops(const MountTable& mounts) {
  std::vector<LoopEntry> loops;
  std::error_code error;
  for (const auto& folder : sysfs::entries("/sys/block")) {
    if (!std::filesystem::exists(folder / "loop" / "backing_file", error)) continue;
    LoopEntry loop;
    const auto number = sysfs::number_of(folder);
    if (!number) continue;
    loop.number = *number;
    loop.name = folder.filename().string();
    loop.backing = sysfs::first_line(folder / "loop" / "backing_file");
    loop.read_only = sysfs::first_line(folder / "ro") == "1";
    if (!find_backing(loop)) continue;
    loop.file_system = loop.file_device;
    // btrfs gives its files other numbers than the mount has.
    if (!loop.block) {
      const auto place = place_of(loop.backing);
      if (place && place->mount && place->file_system == loop.file_device &&
          place->inode == loop.inode)
        if (const MountEntry* mount = mounts.find(*place->mount)) loop.file_system = mount->number;
    }
    loops.push_back(std::move(loop));
  }
  return loops;
}

}  // namespace ingot::disk
