/// Which logical sector size a disk's GPT was made for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ingot::disk {

/// Bytes of the disk's start that gpt_sector_size() looks at.
inline constexpr std::size_t kGptProbeBytes = 8192;

/// 512 or 4096 when `head` (the disk's first kGptProbeBytes) has a GPT header in the second sector
/// of that size; 0 when it has neither. Source: UEFI 2.10, 5.3.2 "GPT Header".
std::uint32_t gpt_sector_size(std::span<const std::byte> head);

}  // namespace ingot::disk
