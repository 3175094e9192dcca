#include "disk/in_use.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "disk/loop_table.hpp"
#include "disk/mount_table.hpp"
#include "disk/running_system.hpp"
#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;

struct Swap {
  std::string name;
  std::optional<dev_t> device;  // of a partition; otherwise a file:
  dev_t file_system = 0;        // its mount's number
  dev_t file_device = 0;        // st_dev
  ino_t inode = 0;
  bool holds_pages = false;
};

std::vector<Swap> read_swaps(const MountTable& mounts) {
  std::vector<Swap> swaps;
  std::ifstream file("/proc/swaps");
  std::string line;
  std::getline(file, line);  // its heading
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string name, type;
    std::uint64_t size = 0, used = 0;
    fields >> name >> type >> size >> used;
    Swap swap;
    swap.name = unescaped(name);
    swap.holds_pages = used > 0;
    swap.device = block_device_at(swap.name);
    if (const auto place = place_of(swap.name); place && !swap.device) {
      const MountEntry* mount = place->mount ? mounts.find(*place->mount) : nullptr;
      swap.file_system = mount != nullptr ? mount->number : place->file_system;
      swap.file_device = place->file_system;
      swap.inode = place->inode;
    }
    swaps.push_back(std::move(swap));
  }
  return swaps;
}

// A moment's view of everything that can stand on something.
struct Snapshot {
  MountTable mounts = MountTable::read();
  std::vector<LoopEntry> loops = read_loops(mounts);
  std::vector<Swap> swaps = read_swaps(mounts);
  RunningSystem running = find_running_system(mounts, loops);
};

Use as_swap(const Swap& swap, std::string text, const RunningSystem& running) {
  // What was started from memory has no swap of its own; but it may have taken one into use.
  return {Use::Kind::swap, std::move(text), "switch it off (swapoff " + swap.name + ")",
          Errc::device_swap, !running.in_memory || swap.holds_pages};
}

Use on_loop(const LoopEntry& loop, const std::string& where, const std::string& label) {
  return {Use::Kind::loop, fmt::format("in use by {}{}{}", loop.name, where, label),
          "detach it (losetup --detach /dev/" + loop.name + ")", Errc::device_in_use, false};
}

// Climbs from a disk to all that stands on it. Block devices and file systems are one kind of node
// here, by their numbers: an ext4 has the number of its device, a btrfs or overlay one of its own.
class Climb {
 public:
  explicit Climb(const Snapshot& now) : now_(now) {}

  std::vector<Use> run(dev_t disk) {
    reach(disk, "");
    while (!waiting_.empty()) {
      const auto [number, label] = waiting_.front();
      waiting_.pop_front();
      visit(number, label);
    }
    return std::move(uses_);
  }

 private:
  // `label` says which device of the stack it is: " (sda1)", or "" for the disk itself.
  void reach(dev_t number, const std::string& label) {
    if (seen_.insert(number).second) waiting_.emplace_back(number, label);
  }

  void visit(dev_t number, const std::string& label) {
    const fs::path folder = sysfs::folder_of(number);
    for (const auto& partition : sysfs::partitions(folder))
      if (const auto device = sysfs::number_of(partition))
        reach(*device, " (" + partition.filename().string() + ")");
    visit_file_systems(number, label);
    visit_swaps(number, label);
    visit_holders(folder, label);
    visit_loops(number, label);
  }

  void visit_file_systems(dev_t number, const std::string& label) {
    bool in_sight = false;
    for (const MountEntry& mount : now_.mounts.entries()) {
      if (mount.number == number) {
        in_sight = true;
        if (mount.elsewhere && is_ours_too(mount)) continue;
        uses_.push_back(
            {Use::Kind::mounted,
             fmt::format("mounted on {}{}{}", mount.where, mount.elsewhere ? " for process 1" : "",
                         label),
             fmt::format("unmount it (umount {}) if nothing on it is needed any more", mount.where),
             Errc::device_mounted, now_.running.file_systems.contains(number)});
      } else if (stands_on(mount, number)) {
        in_sight = true;
        reach(mount.number, label);
      }
    }
    // Seen through the numbers alone, as after a chroot.
    if (!in_sight && now_.running.file_systems.contains(number))
      uses_.push_back({Use::Kind::mounted, "mounted for the running system" + label, "",
                       Errc::device_mounted, true});
    if (!in_sight)
      for (const auto& members : btrfs_members())
        if (std::ranges::find(members, number) != members.end())
          uses_.push_back({Use::Kind::array_or_mapping, "part of a mounted btrfs" + label,
                           "unmount it where it is mounted (findmnt, in every mount namespace)",
                           Errc::device_mounted, !now_.running.located});
  }

  [[nodiscard]] bool is_ours_too(const MountEntry& its) const {
    return std::ranges::any_of(now_.mounts.entries(), [&](const MountEntry& ours) {
      return !ours.elsewhere && ours.number == its.number && ours.where == its.where;
    });
  }

  [[nodiscard]] bool stands_on(const MountEntry& mount, dev_t number) const {
    if (std::ranges::find(mount.devices, number) != mount.devices.end()) return true;
    return std::ranges::any_of(mount.layers, [&](std::uint64_t id) {
      const MountEntry* layer = now_.mounts.find(id);
      return layer != nullptr && layer->number == number;
    });
  }

  void visit_swaps(dev_t number, const std::string& label) {
    for (const Swap& swap : now_.swaps) {
      if (swap.device ? *swap.device != number : swap.file_system != number) continue;
      uses_.push_back(as_swap(swap,
                              swap.device
                                  ? "in use as swap" + label
                                  : fmt::format("holding the swap file {}{}", swap.name, label),
                              now_.running));
    }
  }

  void visit_holders(const fs::path& folder, const std::string& label) {
    std::vector<fs::path> holders = sysfs::entries(folder / "holders");
    // A bcache's cache has no holder, but a set of backing devices with theirs.
    std::error_code error;
    if (fs::exists(folder / "bcache" / "set", error))
      for (const auto& member : sysfs::entries(folder / "bcache" / "set"))
        if (member.filename().string().starts_with("bdev")) holders.push_back(member / "dev");
    for (const auto& holder : holders) {
      const auto number = sysfs::number_of(holder);
      std::string name = number ? sysfs::name_of(*number) : holder.filename().string();
      if (const std::string mapped = sysfs::first_line(holder / "dm" / "name"); !mapped.empty())
        name += " " + mapped;
      uses_.push_back({Use::Kind::array_or_mapping, fmt::format("part of {}{}", name, label),
                       "take that device apart first (mdadm --stop, vgchange -an, dmsetup remove)",
                       Errc::device_in_use, false});
      if (number) reach(*number, " (" + name + ")");
    }
  }

  void visit_loops(dev_t number, const std::string& label) {
    for (const LoopEntry& loop : now_.loops) {
      if (loop.block ? *loop.block != number : loop.file_system != number) continue;
      uses_.push_back(on_loop(loop, loop.block ? "" : " on its file " + loop.backing, label));
      reach(loop.number, " (" + loop.name + ")");
    }
  }

  const Snapshot& now_;
  std::set<dev_t> seen_;
  std::deque<std::pair<dev_t, std::string>> waiting_;
  std::vector<Use> uses_;
};

// Whether a process has a block device open.
bool has_open(const fs::path& process, dev_t device) {
  for (const auto& fd : sysfs::entries(process / "fd"))
    if (block_device_at(fd.string()) == device) return true;
  return false;
}

}  // namespace

std::vector<Use> uses_of(dev_t disk) {
  const Snapshot now;
  return Climb(now).run(disk);
}

std::vector<Use> uses_of_file(dev_t device, ino_t inode) {
  const Snapshot now;
  std::vector<Use> uses;
  for (const LoopEntry& loop : now.loops) {
    if (loop.block || loop.file_device != device || loop.inode != inode) continue;
    uses.push_back(on_loop(loop, "", ""));
    for (Use& use : Climb(now).run(loop.number)) uses.push_back(std::move(use));
  }
  for (const Swap& swap : now.swaps)
    if (!swap.device && swap.file_device == device && swap.inode == inode)
      uses.push_back(as_swap(swap, "in use as swap", now.running));
  return uses;
}

bool running_system_located() {
  return Snapshot().running.located;
}

Result<void> check_unused(const std::vector<Use>& uses, const std::string& path, bool force) {
  if (uses.empty()) return {};
  // What explains most: the file system at the top of a stack rather than its parts.
  const auto gravity = [](const Use& use) {
    return use.running_system ? -1 : static_cast<int>(use.kind);
  };
  const Use& gravest = *std::ranges::min_element(uses, {}, gravity);
  if (!gravest.running_system && force) return {};
  // Its swap can be switched off, and then it is as good as another's.
  const bool swap = gravest.kind == Use::Kind::swap;
  if (gravest.running_system && (force || !swap))
    return fail(
        Errc::device_running_system,
        fmt::format("{} holds the running system: it is {}", path, gravest.text),
        swap ? gravest.advice : "start from a RAM disk or another disk, or choose another disk");
  return fail(gravest.code, fmt::format("{} is {}", path, gravest.text), gravest.advice);
}

std::string openers_of(dev_t device) {
  constexpr int kNamed = 3;
  std::string users;
  int found = 0;
  for (const auto& process : sysfs::entries("/proc")) {
    const std::string id = process.filename().string();
    if (id.find_first_not_of("0123456789") != std::string::npos || !has_open(process, device))
      continue;
    if (++found > kNamed) return users + " and others";
    users += fmt::format("{}{} (process {})", users.empty() ? "" : ", ",
                         sysfs::first_line(process / "comm"), id);
  }
  return users.empty() ? "the kernel or another mount namespace" : users;
}

std::vector<std::string> partition_names(dev_t device) {
  std::vector<std::string> names;
  for (const auto& folder : sysfs::partitions(sysfs::folder_of(device)))
    names.push_back(folder.filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string parent_disk(dev_t device) {
  std::error_code error;
  const fs::path folder = fs::canonical(sysfs::folder_of(device), error);
  if (error || !fs::exists(folder / "partition", error)) return {};
  return folder.parent_path().filename().string();
}

}  // namespace ingot::disk
