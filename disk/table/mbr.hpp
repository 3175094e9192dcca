/// The four entries of an MBR.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "disk/table/shadow_disk.hpp"

namespace ingot::disk {

struct MbrEntry {
  unsigned number = 0;                 ///< from 1
  std::uint32_t first = 0, count = 0;  ///< sectors
};

struct Mbr {
  /// The signature, and entries of which at least one is in use and none is impossible: boot
  /// sectors of file systems have the signature, too.
  bool valid = false;
  bool protective = false;  ///< it names a GPT
  std::vector<MbrEntry> used;
};

/// Source: UEFI 2.10, 5.2.
Mbr parse_mbr(std::span<const std::byte> head);

/// Puts `old`, an MBR in front of a GPT, back onto `disk`, on which a new protective one was
/// written: of that, only the disk's size is taken over, and not into a hybrid one.
Result<void> keep_mbr(ShadowDisk& disk, std::span<const std::byte> old);

}  // namespace ingot::disk
