#include "disk/table/mbr.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace ingot::disk {
namespace {

constexpr std::size_t kMbrBytes = 512, kEntries = 446, kEntryBytes = 16, kEntryCount = 4;
constexpr std::size_t kType = 4, kEndChs = 5, kFirst = 8, kCount = 12;
constexpr auto kProtective = std::byte{0xEE};
// Extended partitions, in three spellings; a GPT's; EFI's.
constexpr std::byte kMayOverlap[] = {std::byte{0x05}, std::byte{0x0F}, std::byte{0x85}, kProtective,
                                     std::byte{0xEF}};

std::uint32_t number_at(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

Mbr parse_mbr(std::span<const std::byte> head) {
  Mbr mbr;
  if (head.size() < kMbrBytes || head[510] != std::byte{0x55} || head[511] != std::byte{0xAA})
    return mbr;
  bool possible = true;
  for (unsigned i = 0; i < kEntryCount; ++i) {
    const auto entry = head.subspan(kEntries + i * kEntryBytes, kEntryBytes);
    possible = possible && (entry[0] == std::byte{0} || entry[0] == std::byte{0x80});
    if (entry[kType] == std::byte{0}) continue;
    mbr.used.push_back({i + 1, number_at(entry, kFirst), number_at(entry, kCount), entry[kType]});
    possible = possible && mbr.used.back().count > 0;
    mbr.protective = mbr.protective || (entry[kType] == kProtective && mbr.used.back().first == 1);
  }
  mbr.valid = possible && !mbr.used.empty();
  return mbr;
}

std::optional<std::pair<MbrEntry, MbrEntry>> overlapping(const Mbr& mbr) {
  const auto end = [](const MbrEntry& entry) { return std::uint64_t{entry.first} + entry.count; };
  const auto exempt = [](const MbrEntry& entry) {
    return std::ranges::find(kMayOverlap, entry.type) != std::end(kMayOverlap);
  };
  const auto around = [&end](const MbrEntry& outer, const MbrEntry& inner) {
    return outer.first == 0 && end(inner) <= end(outer);
  };
  for (std::size_t i = 0; i < mbr.used.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const MbrEntry &a = mbr.used[j], &b = mbr.used[i];
      if (a.first < end(b) && b.first < end(a) && !exempt(a) && !exempt(b) && !around(a, b) &&
          !around(b, a))
        return std::pair(a, b);
    }
  return std::nullopt;
}

Result<void> keep_mbr(ShadowDisk& disk, std::span<const std::byte> old) {
  std::array<std::byte, kMbrBytes> kept{}, made{};
  std::memcpy(kept.data(), old.data(), kept.size());
  INGOT_TRY(disk.get(0, made));
  std::byte* const entry = kept.data() + kEntries;
  const std::byte* const other = made.data() + kEntries;
  const bool alone = std::all_of(entry + kEntryBytes, entry + kEntryCount * kEntryBytes,
                                 [](std::byte b) { return b == std::byte{}; });
  if (alone && entry[kType] == kProtective && other[kType] == kProtective &&
      std::memcmp(entry + kCount, other + kCount, 4) != 0) {
    std::memcpy(entry + kEndChs, other + kEndChs, 3);
    std::memcpy(entry + kCount, other + kCount, 4);
  }
  return disk.put(0, kept);
}

}  // namespace ingot::disk
