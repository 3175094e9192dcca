/// Which logical sector size a disk's GPT was made for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ingot::disk {

/// Bytes of the disk's start that has_gpt() looks at.
inline constexpr std::size_t kGptProbeBytes = 8192;

/// Whether `head` (the disk's first kGptProbeBytes) has a GPT header in its second sector, where
/// sectors are `sector` bytes: 512 or 4096. Source: UEFI 2.10, 5.3.2 "GPT Header".
bool has_gpt(std::span<const std::byte> head, std::uint32_t sector);

}  // namespace ingot::disk
