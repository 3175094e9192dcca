#include "disk/running_system.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

constexpr unsigned kRamDiskMajor = 1;  // /dev/ram0; Documentation/admin-guide/devices.txt
constexpr int kMostLayers = 8;         // of stacks upon stacks; more is a circle

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
