/// The sectors of partition tables that lie away from a region's ends.
#pragma once

#include <cstdint>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// One sector of a table, and what it is: "dos (extended boot record)", "gpt (backup)".
struct TableSector {
  std::uint64_t offset;  ///< bytes from the target's start
  const char* what;
};

/// Of the tables at the start of [from, from + length) of the file behind `fd`, whose sectors have
/// `sector` bytes: each extended boot record, and the header that a GPT names as its other one.
/// What a table says outside the region, or that leads in circles, is left out.
/// Sources: UEFI 2.10, 5.3.2 (AlternateLBA, at byte 32 of the header); the MBR's entries at byte
/// 446, extended ones of type 0x05, 0x0f and 0x85, whose links count from the first one.
std::vector<TableSector> table_sectors(int fd, std::uint64_t from, std::uint64_t length,
                                       std::uint32_t sector);

}  // namespace ingot::disk
