#include "disk/gpt_sector.hpp"

#include <cstring>

namespace ingot::disk {

bool has_gpt(std::span<const std::byte> head, std::uint32_t sector) {
  constexpr std::uint32_t kHeaderBytes = 92;
  if (head.size() < sector + kHeaderBytes) return false;
  const std::byte* header = head.data() + sector;
  std::uint32_t header_size = 0;  // at 12; up to a sector
  std::uint64_t my_lba = 0;       // at 24; 1 in the header of the second sector
  std::memcpy(&header_size, header + 12, sizeof header_size);
  std::memcpy(&my_lba, header + 24, sizeof my_lba);
  return std::memcmp(header, "EFI PART", 8) == 0 && header_size >= kHeaderBytes &&
         header_size <= sector && my_lba == 1;
}

}  // namespace ingot::disk
