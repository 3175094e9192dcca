#include "disk/mount_table.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;
using Groups = std::vector<std::vector<dev_t>>;

// Splits at `separator`; a backslash takes away its meaning, and goes.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == separator)
      parts.emplace_back();
    else
      parts.back() += text[i] == '\\' && i + 1 < text.size() ? text[++i] : text[i];
  }
  return parts;
}

void add(std::vector<dev_t>& devices, std::optional<dev_t> device) {
  if (device && std::find(devices.begin(), devices.end(), *device) == devices.end())
    devices.push_back(*device);
}

void find_devices(MountEntry& mount, const std::string& source, const std::string& options,
                  const Groups& groups) {
  if (major(mount.number) != 0) add(mount.devices, mount.number);
  // bcachefs names all of its devices.
  for (const std::string& name : split(source, ':'))
    if (name.starts_with("/dev/")) add(mount.devices, block_device_at(name));
  // Logs and journals that lie elsewhere: logdev=/dev/sdb1.
  for (const std::string& option : split(options, ','))
    if (const auto value = option.find("=/dev/"); value != std::string::npos)
      add(mount.devices, block_device_at(option.substr(value + 1)));
  if (mount.type == "btrfs") {
    const bool known = !mount.devices.empty();
    for (const auto& group : groups) {
      const bool mine = std::any_of(group.begin(), group.end(), [&](dev_t member) {
        return std::find(mount.devices.begin(), mount.devices.end(), member) != mount.devices.end();
      });
      // A source without meaning (/dev/root) may be any of them.
      if (mine || !known)
        for (const dev_t member : group) add(mount.devices, member);
    }
  }
  static constexpr const char* kOnDisksUnnamed[] = {"btrfs", "bcachefs", "zfs"};
  for (const char* type : kOnDisksUnnamed)
    if (mount.type == type) mount.complete = !mount.devices.empty();
}

// Directories that an overlay is made of. Source: Documentation/filesystems/overlayfs.rst.
std::vector<std::string> layer_folders(const std::string& options) {
  std::vector<std::string> folders;
  // Two levels of escapes: \, in the list of options, \: in the list of lower directories.
  for (std::size_t at = 0; at < options.size();) {
    std::size_t end = at;
    while (end < options.size() && options[end] != ',')
      end += options[end] == '\\' && end + 1 < options.size() ? 2 : 1;
    const std::string option = options.substr(at, end - at);
    at = end + 1;
    const auto equals = option.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = option.substr(0, equals), value = option.substr(equals + 1);
    if (key == "lowerdir" || key == "lowerdir+" || key == "datadir+" || key == "upperdir")
      for (std::string& folder : split(value, ':'))
        if (!folder.empty()) folders.push_back(std::move(folder));
  }
  return folders;
}

std::optional<MountEntry> parse(const std::string& line, const Groups& groups,
                                std::string& options) {
  std::istringstream fields(line);
  std::string number, field, source;
  MountEntry mount;
  fields >> mount.id >> field >> number >> field >> mount.where;
  while (fields >> field && field != "-") {
  }
  fields >> mount.type >> source >> options;
  unsigned high = 0, low = 0;
  if (std::sscanf(number.c_str(), "%u:%u", &high, &low) != 2) return std::nullopt;
  mount.number = makedev(high, low);
  mount.where = unescaped(mount.where);
  options = unescaped(options);
  find_devices(mount, unescaped(source), options, groups);
  return mount;
}

bool is_union(const MountEntry& mount) {
  return mount.type == "overlay" || mount.type == "aufs" || mount.type == "unionfs";
}

// The namespace of process 1, where it is another one: "/proc/1/root" is its root directory.
bool process_1_is_elsewhere() {
  struct stat ours {
  }, its{};
  return ::stat("/proc/self/ns/mnt", &ours) == 0 && ::stat("/proc/1/ns/mnt", &its) == 0 &&
         (ours.st_ino != its.st_ino || ours.st_dev != its.st_dev);
}

}  // namespace

MountTable MountTable::read() {
  MountTable table;
  const Groups groups = btrfs_members();
  const auto read_one = [&](const char* file, const std::string& root, bool elsewhere) {
    std::vector<std::string> all_options;
    const std::size_t first = table.entries_.size();
    std::ifstream mounts(file);
    for (std::string line, options; std::getline(mounts, line); options.clear()) {
      auto mount = parse(line, groups, options);
      if (!mount) continue;
      mount->elsewhere = elsewhere;
      table.entries_.push_back(*std::move(mount));
      all_options.push_back(options);
    }
    for (std::size_t i = first; i < table.entries_.size(); ++i) {
      MountEntry& mount = table.entries_[i];
      if (!is_union(mount)) continue;
      mount.complete = mount.type == "overlay";
      for (const std::string& folder : layer_folders(all_options[i - first])) {
        const auto place = folder.front() == '/' ? place_of(root + folder) : std::optional<Place>();
        // A name that leads into the overlay itself was another directory's when it was mounted.
        const MountEntry* layer = place && place->mount ? table.find(*place->mount) : nullptr;
        if (layer == nullptr || layer->number == mount.number)
          mount.complete = false;
        else
          mount.layers.push_back(layer->id);
      }
      mount.complete = mount.complete && !mount.layers.empty();
    }
  };
  read_one("/proc/self/mountinfo", "", false);
  if (process_1_is_elsewhere()) read_one("/proc/1/mountinfo", "/proc/1/root", true);
  return table;
}

const MountEntry* MountTable::find(std::uint64_t id) const noexcept {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [id](const MountEntry& mount) { return mount.id == id; });
  return found == entries_.end() ? nullptr : &*found;
}

std::optional<Place> place_of(const std::string& path) {
  struct statx info {};
  if (::statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_INO | STATX_MNT_ID, &info) != 0)
    return std::nullopt;
  Place place;
  if ((info.stx_mask & STATX_MNT_ID) != 0) place.mount = info.stx_mnt_id;
  place.file_system = makedev(info.stx_dev_major, info.stx_dev_minor);
  place.inode = info.stx_ino;
  return place;
}

std::optional<dev_t> block_device_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISBLK(info.st_mode)) return std::nullopt;
  return info.st_rdev;
}

std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::sscanf(text.substr(i + 1, 3).c_str(), "%3o", &value) == 1) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::vector<dev_t>> btrfs_members() {
  Groups groups;
  for (const auto& file_system : sysfs::entries("/sys/fs/btrfs")) {
    std::vector<dev_t> members;
    for (const auto& device : sysfs::entries(file_system / "devices"))
      add(members, sysfs::number_of(device));
    if (!members.empty()) groups.push_back(std::move(members));
  }
  return groups;
}

}  // namespace ingot::disk
