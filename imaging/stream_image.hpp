/// The one pass: source → digest → decompressor → decoder → extents. What `agent` calls.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "disk/core/extent_sink.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"
#include "disk/core/scratch.hpp"
#include "disk/core/units.hpp"
#include "imaging/digest.hpp"
#include "imaging/image_format.hpp"
#include "imaging/source.hpp"

namespace ingot::imaging {

/// Which image, what it must be, and how much it may cost.
struct ImageRequest {
  std::vector<std::string> urls;        ///< mirrors of one object; at least one
  std::optional<Digest> expected;       ///< nothing: the caller accepts an unverified image
  std::optional<ImageFormat> declared;  ///< nothing: by content
  std::vector<ImageFormat> permitted;   ///< no other is written; empty: all are
  bool allow_unrecognized = false;      ///< raw data with no partition table or file system
  TransferOptions transfer;
  std::size_t hold_limit = 32 * MiB;  ///< image bytes held in memory until they can be placed
  std::size_t ring_blocks = 16;       ///< receive buffers of kStreamBlock
  unsigned threads = 0;               ///< decode workers; 0: one more than the cores
  std::chrono::seconds convert_timeout{3600};  ///< for qemu-img
};

/// What was streamed. `digest` is of the bytes as served and equals `expected` if that was given.
struct ImageOutcome {
  Digest digest;
  ImageFormat format = ImageFormat::raw;
  std::string compression;         ///< "none", "gzip", "xz", "zstd", "bzip2", "lz4"; "+tar"
  std::uint64_t virtual_size = 0;  ///< bytes
};

/// Streams the image into `sink`, start to end, and returns only when the digest matched and every
/// extent was handed over. The sink is then complete, but neither flushed nor committed.
///
/// Stages run on threads of their own that this call starts and joins; `job` carries their first
/// error and stops all of them. Errors: source.*, checksum.*, image.*, and what `sink` returns.
Result<ImageOutcome> stream_image(const ImageRequest& request, ExtentSink& sink,
                                  ScratchProvider& scratch, ProgressCounters& counters,
                                  JobListener& listener, FirstError& job);

}  // namespace ingot::imaging
