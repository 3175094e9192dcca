#include "disk/gpt_sector.hpp"

#include <cstring>

namespace ingot::disk {

std::uint32_t gpt_sector_size(std::span<const std::byte> head) {
  for (const std::uint32_t sector : {512U, 4096U}) {
    if (head.size() < sector + 92) continue;
    const std::byte* header = head.data() + sector;
    if (std::memcmp(header, "EFI PART", 8) != 0) continue;
    // MyLBA, at 24, is 1 in the header of the second sector.
    std::uint64_t my_lba = 0;
    std::memcpy(&my_lba, header + 24, sizeof my_lba);
    if (my_lba == 1) return sector;
  }
  return 0;
}

}  // namespace ingot::disk
