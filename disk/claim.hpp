/// Claim: the target, opened once, exclusively, checked by its descriptor, and held to the end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"
#include "disk/inventory/disk.hpp"

namespace ingot::disk {

struct ClaimOptions {
  bool read_only = false;  ///< --dry-run: look, do not open for writing
  /// Missing or empty regular file: make it sparse with this size, bytes.
  std::optional<std::uint64_t> create_size = {};
  bool force = false;  ///< take a disk that is in use, unless the running system needs it
  std::optional<DiskIdentity> expected = {};  ///< the disk that was chosen; nothing else is taken
};

/// A block device or regular file that nothing else uses.
struct Claim {
  UniqueFd fd;           ///< O_DIRECT where the target supports it; O_EXCL and locked if a disk
  UniqueFd buffered_fd;  ///< the same target without O_DIRECT, for a regular file's unaligned tail
  std::string path;      ///< as given, for messages
  bool block_device = false;
  bool created = false;                ///< a regular file that was not there before
  std::uint64_t size = 0;              ///< bytes
  std::uint32_t logical_sector = 512;  ///< bytes; a regular file counts as 512
  std::uint32_t io_alignment = 512;    ///< bytes; of offset and length for `fd`
  bool direct = false;                 ///< whether `fd` is O_DIRECT
};

/// Opens `path` and refuses it unless it may be overwritten: missing, neither disk nor regular
/// file, a partition's or the disk's file system mounted, swap, a holder (md, dm, LVM), read-only,
/// busy. All facts are read through the descriptor's device number, not the name.
///
/// With `force` a disk in use is taken as well, without O_EXCL if it cannot be had; what uses it
/// may go on writing to it. Never one that holds the running system, or that may hold it because
/// that could not be found. In any case one of us at a time: the disk, or the file, is locked
/// (flock) until the last copy of the claim is gone. Errors: device.*, each naming what holds the
/// disk.
Result<Claim> claim(const std::string& path, const ClaimOptions& options);

/// The same target once more, for a thread that may outlive its owner: it stays claimed, and its
/// descriptors stay open, until the last copy is gone. Errors: no descriptor left.
Result<Claim> share(const Claim& target);

/// Asks the kernel to read the partition table again (BLKRRPART) and waits for udev to settle, both
/// bounded. Gives the lock up, for udev's sake, so it comes after all writing. Not for regular
/// files. Errors: device.in-use with advice; the write stays valid.
Result<void> reread_partitions(const Claim& target);

}  // namespace ingot::disk
