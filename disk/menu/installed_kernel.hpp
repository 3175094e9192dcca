/// InstalledKernel: the kernel of the system on a disk, ready to be loaded.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::disk {

/// While the descriptors are open, file systems of the disk may be mounted, read-only and where no
/// path leads.
struct InstalledKernel {
  UniqueFd kernel;           ///< a regular file, or memory, at its start
  UniqueFd initrd;           ///< the same; none: the kernel is started without
  std::string command_line;  ///< at most kLongestCommandLine bytes, no control characters
  std::string title;         ///< of the menu's entry
  /// For people: "/boot/grub/grub.cfg: kernel /vmlinuz, initrd /initrd.img on partition 3".
  std::string description;
};

struct InstalledKernelOptions {
  std::filesystem::path firmware = "/sys/firmware/efi";  ///< is there on machines with UEFI alone
  std::filesystem::path sysfs = "/sys";                  ///< of the disks: their partitions
  std::filesystem::path dev = "/dev";
};

/// Finds what the system on the whole disk `device` would start, and opens it.
///
/// The disk's ext2, ext3, ext4, XFS, Btrfs and FAT file systems, at most 32, are mounted read-only,
/// nosuid, nodev, noexec, without replaying a journal, at no place in the tree: they are gone with
/// the last descriptor. A partition that the kernel has no device of gets a loop device for as
/// long. A file system that cannot be mounted counts as absent. Needs root. An initrd of several
/// files is put together in memory. Errors: device.* (no whole disk, no file system that can be
/// mounted); image.unsupported (no boot menu, its default is not known for certain, a file of it is
/// missing); cancelled.
Result<InstalledKernel> find_installed_kernel(const std::string& device,
                                              const InstalledKernelOptions& options,
                                              const std::stop_token& stop);

}  // namespace ingot::disk
