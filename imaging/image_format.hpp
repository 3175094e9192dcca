/// The disk image formats ingot knows, by their field names.
#pragma once

#include <optional>
#include <string_view>

namespace ingot::imaging {

enum class ImageFormat { raw, qcow2, vmdk, vhd, vhdx, vdi };

/// "raw", "qcow2", … as on the command line.
std::string_view name(ImageFormat format) noexcept;
/// The format called `text`, or nothing.
std::optional<ImageFormat> image_format_from(std::string_view text) noexcept;

}  // namespace ingot::imaging
