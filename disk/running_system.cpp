#include "disk/running_system.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "disk/core/unique_fd.hpp"
#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

constexpr unsigned kRamDiskMajor = 1;  // /dev/ram0; Documentation/admin-guide/devices.txt
constexpr int kMostLayers = 8;         // of stacks upon stacks; more is a circle

// Squashfs and EROFS, which nothing but such images has. Sources:
// Documentation/filesystems/squashfs.rst, fs/erofs/erofs_fs.h.
bool holds_system_image(const LoopEntry& loop) {
  constexpr std::string_view kSquashfs = "hsqs", kErofs = "\xe2\xe1\xf5\xe0";
  constexpr std::size_t kErofsPlace = 1024;
  const UniqueFd fd(::open(("/dev/" + loop.name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, kErofsPlace + kErofs.size()> head{};
  if (!fd || ::pread(fd.get(), head.data(), head.size(), 0) != ssize_t{head.size()}) return false;
  const std::string_view text(head.data(), head.size());
  return text.starts_with(kSquashfs) || text.ends_with(kErofs);
}

class Search {
 public:
  Search(const MountTable& mounts, const std::vector<LoopEntry>& loops)
      : mounts_(mounts), loops_(loops) {}

  RunningSystem run() {
    RunningSystem system;
    const bool other_root = std::ranges::any_of(mounts_.entries(), &MountEntry::elsewhere);
    system.in_memory = in_memory("/") && (!other_root || in_memory("/proc/1/root/"));
    for (const char* path : {"/", "/usr", "/proc/self/exe"}) add(system, path);
    if (other_root)
      for (const char* path : {"/proc/1/root/", "/proc/1/root/usr"}) add(system, path);
    if (!system.located) add_hidden_images(system);
    if (system.in_memory) return system;
    for (const std::string path : {"/boot", "/boot/efi", "/efi", "/var", "/etc"}) {
      add(system, path);
      if (other_root) add(system, "/proc/1/root" + path);
    }
    return system;
  }

 private:
  void add(RunningSystem& system, const std::string& path) const {
    const auto place = place_of(path);
    if (!place) return;
    const MountEntry* mount = place->mount ? mounts_.find(*place->mount) : nullptr;
    // Out of sight after a chroot: the file system's number still is its device's, mostly.
    system.file_systems.insert(mount != nullptr ? mount->number : place->file_system);
    if (mount != nullptr ? !is_located(*mount, 0) : major(place->file_system) == 0)
      system.located = false;
  }

  // Live media start from an image on a loop device, whose mount may be out of sight by now.
  void add_hidden_images(RunningSystem& system) const {
    for (const LoopEntry& loop : loops_) {
      const bool in_sight = std::ranges::any_of(
          mounts_.entries(), [&](const MountEntry& mount) { return mount.number == loop.number; });
      if (!in_sight && holds_system_image(loop)) system.file_systems.insert(loop.number);
    }
  }

  [[nodiscard]] bool is_located(const MountEntry& mount, int depth) const {
    if (!mount.complete || depth > kMostLayers) return false;
    return std::ranges::all_of(mount.layers, [&](std::uint64_t id) {
      const MountEntry* layer = mounts_.find(id);
      return layer != nullptr && is_located(*layer, depth + 1);
    });
  }

  [[nodiscard]] bool in_memory(const std::string& path) const {
    const auto place = place_of(path);
    if (!place) return false;
    const MountEntry* mount = place->mount ? mounts_.find(*place->mount) : nullptr;
    return mount != nullptr && in_memory(*mount, 0);
  }

  [[nodiscard]] bool in_memory(const MountEntry& mount, int depth) const {
    static constexpr std::array<std::string_view, 4> kMemory{"tmpfs", "ramfs", "rootfs",
                                                             "devtmpfs"};
    if (depth > kMostLayers) return false;
    if (std::ranges::find(kMemory, mount.type) != kMemory.end()) return true;
    if (!mount.layers.empty())
      return mount.complete && std::ranges::all_of(mount.layers, [&](std::uint64_t id) {
               const MountEntry* layer = mounts_.find(id);
               return layer != nullptr && in_memory(*layer, depth + 1);
             });
    return !mount.devices.empty() && std::ranges::all_of(mount.devices, [&](dev_t device) {
      return device_in_memory(device, depth + 1);
    });
  }

  [[nodiscard]] bool device_in_memory(dev_t device, int depth) const {
    if (major(device) == kRamDiskMajor || sysfs::name_of(device).starts_with("zram")) return true;
    const auto loop = std::ranges::find(loops_, device, &LoopEntry::number);
    if (loop == loops_.end()) return false;
    if (loop->block) return depth <= kMostLayers && device_in_memory(*loop->block, depth + 1);
    const auto below = std::ranges::find(mounts_.entries(), loop->file_system, &MountEntry::number);
    if (below != mounts_.entries().end()) return in_memory(*below, depth + 1);
    // Out of sight since the initramfs was left: that has no device, nor have others but btrfs.
    return major(loop->file_system) == 0 && btrfs_members().empty();
  }

  const MountTable& mounts_;
  const std::vector<LoopEntry>& loops_;
};

}  // namespace

RunningSystem find_running_system(const MountTable& mounts, const std::vector<LoopEntry>& loops) {
  return Search(mounts, loops).run();
}

}  // namespace ingot::disk
