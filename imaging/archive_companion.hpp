/// What may stand beside a disk image in an archive without being one: by content, not by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ingot::imaging {

/// What stands beside an image is smaller than this; so much of a file is enough to judge it.
inline constexpr std::size_t kCompanionHead = 64 * 1024;

/// What the file `path` of an archive is, if not an image that was meant: "empty"; under 64 KiB "a
/// text" (a README, checksums, a licence) or "small, and no image" (a signature); "metadata of
/// macOS" (AppleDouble, .DS_Store). Nothing for every other file. `head` is the first
/// kCompanionHead of its `size` bytes, or all of them.
///
/// No name makes an image disappear: whatever probe_image() takes for one is one.
std::string_view companion_kind(std::string_view path, std::span<const std::byte> head,
                                std::uint64_t size);

}  // namespace ingot::imaging
