/// What an image is, told by its headers alone.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "imaging/image_format.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

struct Qcow2Info {
  std::uint32_t version = 0;
  std::uint64_t cluster_size = 0;  ///< bytes
  std::string compression_type;    ///< "zlib", "zstd"
  bool extended_l2 = false;
  bool backing_file = false, data_file = false, encrypted = false, corrupt = false, dirty = false;
  std::uint32_t snapshots = 0;
  std::uint64_t l1_offset = 0;  ///< file bytes
  std::optional<std::uint64_t>
      longest_hold;  ///< file bytes, see Qcow2Survey; nothing: not found out
};

struct ImageInfo {
  std::string source;  ///< as given, redacted
  imaging::ImageFormat format = imaging::ImageFormat::raw;
  std::string compression;  ///< around the image: "none", "gzip", "xz+tar", …
  std::optional<std::uint64_t> file_size, virtual_size;  ///< bytes
  std::string partition_table, filesystem;               ///< raw
  std::uint32_t gpt_sector_size = 0;                     ///< raw with GPT
  std::vector<std::string> table_notes;  ///< raw: what `ingot write` makes right, or needs
  bool recognized = true;                ///< false: `ingot write` wants --allow-unrecognized
  std::optional<Qcow2Info> qcow2;

  /// Why `ingot write` would refuse it, or "".
  std::string refusal;
  /// Whether it is written as it arrives, whatever the server can do.
  std::optional<bool> one_pass;
  std::string streaming;  ///< a sentence about that
};

/// Looks at `image`, a path or a URL. Reads the first MiB, and where the server answers ranges the
/// tables of a qcow2 image and the backup of a damaged GPT; and all of a local archive (256 GiB at
/// most). Errors: source.*, image.*; what is merely unfit to be written is no error but `refusal`.
Result<ImageInfo> inspect_image(const std::string& image, const imaging::TransferOptions& transfer,
                                std::stop_token stop);

}  // namespace ingot::agent
