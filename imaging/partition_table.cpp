#include "imaging/partition_table.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ingot::imaging {
namespace {

constexpr std::size_t kMbrSize = 512;
constexpr std::size_t kMbrEntries = 446, kMbrEntrySize = 16, kMbrEntryCount = 4;

template <std::size_t Size>
std::uint64_t little_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = Size; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i]);
  return value;
}

struct Mbr {
  bool valid = false;
  bool protective = false;  // names a GPT
};

Mbr read_mbr(std::span<const std::byte> head) {
  if (head.size() < kMbrSize || head[510] != std::byte{0x55} || head[511] != std::byte{0xaa})
    return {};
  Mbr mbr;
  for (std::size_t i = 0; i < kMbrEntryCount; ++i) {
    const auto entry = head.subspan(kMbrEntries + i * kMbrEntrySize, kMbrEntrySize);
    const auto flag = entry[0];
    const auto type = entry[4];
    if (flag != std::byte{0} && flag != std::byte{0x80}) return {};
    if (type == std::byte{0}) continue;
    const auto start = little_endian<4>(entry, 8);
    const auto sectors = little_endian<4>(entry, 12);
    // A hybrid ISO's first partition starts at sector 0 and contains the table itself.
    if (sectors == 0) return {};
    mbr.valid = true;
    mbr.protective = mbr.protective || (type == std::byte{0xee} && start == 1);
  }
  return mbr;
}

bool has_gpt_header(std::span<const std::byte> head, std::size_t sector) {
  constexpr std::size_t kSmallest = 92, kCrcAt = 16;
  if (head.size() < 2 * sector) return false;
  const auto header = head.subspan(sector, sector);
  if (std::memcmp(header.data(), "EFI PART", 8) != 0) return false;
  const auto size = static_cast<std::size_t>(little_endian<4>(header, 12));
  if (size < kSmallest || size > sector || little_endian<8>(header, 24) != 1) return false;
  constexpr std::array<Bytef, 4> kZeros{};  // the CRC is computed with its own field zero
  const auto* data = reinterpret_cast<const Bytef*>(header.data());
  uLong crc = crc32(0, data, kCrcAt);
  crc = crc32(crc, kZeros.data(), kZeros.size());
  crc = crc32(crc, data + kCrcAt + 4, static_cast<uInt>(size - kCrcAt - 4));
  return crc == little_endian<4>(header, kCrcAt);
}

}  // namespace

PartitionTable find_partition_table(std::span<const std::byte> head) {
  const Mbr mbr = read_mbr(head);
  if (mbr.protective || !mbr.valid) {
    for (const std::uint32_t sector : {512U, 4096U})
      if (has_gpt_header(head, sector)) return {"gpt", sector};
  }
  return {mbr.valid ? "dos" : "", 0};
}

}  // namespace ingot::imaging
