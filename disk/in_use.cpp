#include "disk/in_use.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "disk/core/unique_fd.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;

fs::path sysfs(dev_t device) {
  return fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<dev_t> number_of(const fs::path& sysfs_device) {
  unsigned high = 0, low = 0;
  if (std::sscanf(first_line(sysfs_device / "dev").c_str(), "%u:%u", &high, &low) != 2)
    return std::nullopt;
  return makedev(high, low);
}

// Entries of a sysfs folder; nothing where there is none.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    found.push_back(it->path());
  return found;
}

std::vector<fs::path> partitions(const fs::path& disk) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : entries(disk))
    if (fs::exists(entry / "partition", error)) found.push_back(entry);
  return found;
}

std::optional<dev_t> device_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISBLK(info.st_mode)) return std::nullopt;
  return info.st_rdev;
}

// mountinfo and swaps write blanks in names as \040 and the like.
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

Result<void> check_mounts(const std::map<dev_t, std::string>& parts, const std::string& path) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string id, parent, number, root, where, field, source;
    fields >> id >> parent >> number >> root >> where;
    while (fields >> field && field != "-") {
    }
    fields >> field >> source;
    // btrfs and overlays have numbers of their own; their source names the device.
    unsigned high = 0, low = 0;
    std::optional<dev_t> device;
    if (std::sscanf(number.c_str(), "%u:%u", &high, &low) == 2) device = makedev(high, low);
    auto part = device ? parts.find(*device) : parts.end();
    if (part == parts.end()) {
      device = device_at(unescaped(source));
      part = device ? parts.find(*device) : parts.end();
    }
    if (part != parts.end())
      return fail(Errc::device_mounted,
                  fmt::format("{}: {} is mounted on {}", path, part->second, unescaped(where)),
                  fmt::format("unmount it (umount {}) if nothing on it is needed any more",
                              unescaped(where)));
  }
  return {};
}

Result<void> check_swaps(const std::map<dev_t, std::string>& parts, const std::string& path) {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);  // its heading
  while (std::getline(swaps, line)) {
    const std::string name = unescaped(line.substr(0, line.find_first_of(" \t")));
    const auto device = device_at(name);
    const auto part = device ? parts.find(*device) : parts.end();
    if (part != parts.end())
      return fail(Errc::device_swap, fmt::format("{}: {} is in use as swap", path, part->second),
                  "switch it off (swapoff " + name + ")");
  }
  return {};
}

// What a loop device stands on, by the numbers that its driver keeps: the name it was given may
// have been renamed, deleted or another file's since.
bool is_backing(const fs::path& loop, const struct stat& target) {
  const UniqueFd fd(
      ::open(("/dev/" + loop.filename().string()).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  loop_info64 info{};
  if (fd && ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) == 0) {
    return S_ISBLK(target.st_mode)
               ? info.lo_rdevice == target.st_rdev
               : info.lo_device == target.st_dev && info.lo_inode == target.st_ino;
  }
  struct stat named {};
  if (::stat(first_line(loop / "loop" / "backing_file").c_str(), &named) != 0) return false;
  return S_ISBLK(target.st_mode) ? S_ISBLK(named.st_mode) && named.st_rdev == target.st_rdev
                                 : named.st_dev == target.st_dev && named.st_ino == target.st_ino;
}

Result<void> check_loops(const struct stat& target, const std::string& path) {
  std::error_code error;
  for (const auto& entry : entries("/sys/block")) {
    if (!fs::exists(entry / "loop" / "backing_file", error)) continue;
    if (is_backing(entry, target))
      return fail(Errc::device_in_use,
                  fmt::format("{} is in use by /dev/{}", path, entry.filename().string()),
                  "detach it (losetup --detach /dev/" + entry.filename().string() + ")");
  }
  return {};
}

// Whether a process has a block device open.
bool has_open(const fs::path& process, dev_t device) {
  for (const auto& fd : entries(process / "fd"))
    if (device_at(fd.string()) == device) return true;
  return false;
}

}  // namespace

Result<void> check_unused(dev_t device, const std::string& path) {
  std::map<dev_t, std::string> parts;
  const fs::path disk = sysfs(device);
  std::vector<fs::path> folders = partitions(disk);
  for (const auto& folder : folders)
    if (const auto number = number_of(folder))
      parts[*number] = "/dev/" + folder.filename().string();
  parts[device] = path;
  folders.push_back(disk);

  INGOT_TRY(check_mounts(parts, path));
  INGOT_TRY(check_swaps(parts, path));
  for (const auto& folder : folders) {
    for (const auto& holder : entries(folder / "holders")) {
      const std::string name = holder.filename().string();
      std::string what = first_line(holder / "dm" / "name");
      if (!what.empty()) what = " (" + what + ")";
      // A stacked device that is mounted or swap explains itself better than its name does.
      if (const auto number = number_of(holder)) {
        const std::map<dev_t, std::string> stacked{{*number, "/dev/" + name + what + " on it"}};
        INGOT_TRY(check_mounts(stacked, path));
        INGOT_TRY(check_swaps(stacked, path));
      }
      return fail(Errc::device_in_use, fmt::format("{} is part of /dev/{}{}", path, name, what),
                  "take that device apart first (mdadm --stop, vgchange -an, dmsetup remove)");
    }
  }
  for (const auto& [number, name] : parts) {
    struct stat target {};
    target.st_mode = S_IFBLK;
    target.st_rdev = number;
    INGOT_TRY(check_loops(target, name));
  }
  return {};
}

Result<void> check_file_unused(dev_t device, ino_t inode, const std::string& path) {
  struct stat target {};
  target.st_mode = S_IFREG;
  target.st_dev = device;
  target.st_ino = inode;
  INGOT_TRY(check_loops(target, path));
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);
  while (std::getline(swaps, line)) {
    const std::string name = unescaped(line.substr(0, line.find_first_of(" \t")));
    struct stat info {};
    if (::stat(name.c_str(), &info) == 0 && info.st_dev == device && info.st_ino == inode)
      return fail(Errc::device_swap, path + " is in use as swap",
                  "switch it off (swapoff " + name + ")");
  }
  return {};
}

std::string users_of(dev_t device) {
  constexpr int kNamed = 3;
  std::string users;
  int found = 0;
  for (const auto& process : entries("/proc")) {
    const std::string id = process.filename().string();
    if (id.find_first_not_of("0123456789") != std::string::npos || !has_open(process, device))
      continue;
    if (++found > kNamed) return users + " and others";
    users += fmt::format("{}{} (process {})", users.empty() ? "" : ", ",
                         first_line(process / "comm"), id);
  }
  return users.empty() ? "the kernel or another mount namespace" : users;
}

std::vector<std::string> partition_names(dev_t device) {
  std::vector<std::string> names;
  for (const auto& folder : partitions(sysfs(device))) names.push_back(folder.filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string parent_disk(dev_t device) {
  std::error_code error;
  const fs::path folder = fs::canonical(sysfs(device), error);
  if (error || !fs::exists(folder / "partition", error)) return {};
  return folder.parent_path().filename().string();
}

}  // namespace ingot::disk
