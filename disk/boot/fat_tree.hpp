/// FatTree: the files of a FAT file system inside a disk, read by mtools, without mounting it.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::disk {

/// Nobody vouches for the file system: mtools runs as nobody, with limits on time, memory and
/// output, and its only file is the disk, which it cannot write to.
class FatTree {
 public:
  /// The file system at byte `offset` of the disk behind `fd`, which stays the caller's. As root it
  /// makes a device node for nobody, for a moment. `name` is for messages: "/dev/sda: partition 1".
  /// Errors: device.permission.
  static Result<FatTree> open(int fd, std::uint64_t offset, std::string name);

  /// Paths of the files below `folder`, a directory at the top: "EFI/debian/shimx64.efi", with the
  /// case that the disk has. Empty if there is no such directory. Files whose name could not stand
  /// in a boot entry are left out: not printable, outside Unicode's first plane, a path of more
  /// than 255 bytes.
  /// Errors: device.unsuitable (no FAT file system, damaged, endless, more than 1 MiB of paths);
  /// write.boot-entry (no mtools); cancelled.
  [[nodiscard]] Result<std::vector<std::string>> files(const std::string& folder,
                                                       const std::stop_token& stop) const;

  /// What is in a file that files() has named. Errors: as files(); more than `limit` bytes.
  [[nodiscard]] Result<std::string> read(const std::string& path, std::size_t limit,
                                         const std::stop_token& stop) const;

 private:
  FatTree(UniqueFd fd, std::uint64_t offset, std::string name)
      : fd_(std::move(fd)), offset_(offset), name_(std::move(name)) {}
  [[nodiscard]] Result<std::string> run(const std::string& program,
                                        const std::vector<std::string>& arguments,
                                        std::size_t limit, const std::stop_token& stop) const;

  UniqueFd fd_;
  std::uint64_t offset_;
  std::string name_;
};

}  // namespace ingot::disk
