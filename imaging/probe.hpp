/// Which disk image is this? Decided by content alone, from the first block of the stream.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "disk/core/error.hpp"
#include "imaging/image_format.hpp"

namespace ingot::imaging {

struct ProbeResult {
  ImageFormat format = ImageFormat::raw;
  std::string partition_table;  ///< raw only: "gpt", "dos" or ""
  std::string filesystem;       ///< raw only: what libblkid calls a whole-disk signature, or ""
  std::uint32_t gpt_sector_size = 0;  ///< raw with GPT: the logical sector size it was made for
};

/// Probes `head` (the image's first bytes, 1 MiB or the whole image if that is smaller).
///
/// A declared format that the content contradicts is image.format-mismatch. Raw data without a
/// partition table or file system, an HTML page, or less than 512 bytes is image.unrecognized with
/// the first bytes shown, unless `allow_unrecognized` (which never lets HTML or an empty image
/// through).
Result<ProbeResult> probe_image(std::span<const std::byte> head,
                                std::optional<ImageFormat> declared, bool allow_unrecognized);

}  // namespace ingot::imaging
