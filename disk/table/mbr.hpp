/// The four entries of an MBR.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "disk/table/shadow_disk.hpp"

namespace ingot::disk {

struct MbrEntry {
  unsigned number = 0;                 ///< from 1
  std::uint32_t first = 0, count = 0;  ///< sectors
  std::byte type{};
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

/// Two entries that overlap and must not, or nothing. One that begins at sector 0 may hold others,
/// and one for EFI or for a GPT may lie in another, as isohybrid images have them; what is in an
/// extended partition is not looked at.
std::optional<std::pair<MbrEntry, MbrEntry>> overlapping(const Mbr& mbr);

/// Puts `old`, an MBR in front of a GPT, back onto `disk`, on which a new protective one was
/// written: of that, only the disk's size is taken over, and not into a hybrid one.
Result<void> keep_mbr(ShadowDisk& disk, std::span<const std::byte> old);

}  // namespace ingot::disk
