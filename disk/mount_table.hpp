/// MountTable: what is mounted where, on which block devices, for us and for process 1.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ingot::disk {

/// One line of mountinfo, proc(5), with its names unescaped.
struct MountEntry {
  std::uint64_t id = 0;        ///< unique in the running kernel
  dev_t number = 0;            ///< of the file system; major 0 where it is on no single device
  std::string where;           ///< the mount point, as its namespace sees it
  std::string type;            ///< "ext4", "overlay"
  std::vector<dev_t> devices;  ///< block devices it is on; also all members of a btrfs
  std::vector<std::uint64_t> layers;  ///< mounts that an overlay's directories lie on
  bool complete = true;               ///< all devices or layers that it must have were found
  bool elsewhere = false;             ///< only in the mount namespace of process 1
};

/// A moment's view. What cannot be read (another namespace without the right to) is left out.
class MountTable {
 public:
  static MountTable read();

  [[nodiscard]] const std::vector<MountEntry>& entries() const noexcept { return entries_; }
  /// The mount with this number, or nothing.
  [[nodiscard]] const MountEntry* find(std::uint64_t id) const noexcept;

 private:
  std::vector<MountEntry> entries_;
};

/// Where a path lies: its mount and its file system's number. A symlink is followed; nothing is
/// mounted for it and no server is waited for. Nothing if it does not exist.
struct Place {
  std::optional<std::uint64_t> mount;  ///< not known to kernels before 5.8
  dev_t file_system = 0;               ///< as stat(2) has it: another than the mount's on btrfs
  ino_t inode = 0;
};
std::optional<Place> place_of(const std::string& path);

/// The number of a block device by its name, or nothing.
std::optional<dev_t> block_device_at(const std::string& path);

/// Names in /proc with \040 and the like for blanks.
std::string unescaped(const std::string& text);

/// Groups of block devices that are one mounted btrfs each, from /sys/fs/btrfs.
std::vector<std::vector<dev_t>> btrfs_members();

}  // namespace ingot::disk
