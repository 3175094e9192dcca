/// What `qemu-img info --output=json` says about an image, judged.
#pragma once

#include <cstdint>
#include <string_view>

#include "disk/core/error.hpp"
#include "imaging/image_format.hpp"

namespace ingot::imaging {

/// qemu's name of the driver ("vpc" for vhd).
std::string_view qemu_driver(ImageFormat format) noexcept;

/// The virtual size (bytes) of an image that stands alone.
/// Errors: image.unsupported, naming the field, for backing files, data files, encryption, extents
/// or children that are not the export "source", a create-type that is not one file; image.corrupt
/// for dirty or corrupt ones and sizes out of range; image.convert when the text is not understood.
Result<std::uint64_t> judge_qemu_info(std::string_view json, ImageFormat format);

}  // namespace ingot::imaging
