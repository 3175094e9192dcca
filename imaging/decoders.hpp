/// The decoders: each turns a forward-only stream into extents on a sink.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "disk/core/extent_sink.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"
#include "disk/core/scratch.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/image_format.hpp"

namespace ingot::imaging {

/// What every decoder is given. All references outlive the call.
struct DecodeContext {
  ExtentSink& sink;
  ScratchProvider& scratch;
  ProgressCounters& counters;
  JobListener& listener;
  FirstError& job;         ///< errors of a decoder's own threads; its token stops the decoder
  std::size_t hold_limit;  ///< bytes
  unsigned threads;        ///< workers, at least 1
};

/// Raw: the stream is the disk. Zero runs become zero extents. Returns the virtual size (bytes).
Result<std::uint64_t> decode_raw(ByteStream& in, const DecodeContext& context);

/// qcow2 v2 and v3, forward only. Returns the virtual size (bytes).
Result<std::uint64_t> decode_qcow2(ByteStream& in, const DecodeContext& context);

/// vmdk, vhd, vhdx, vdi: parks or spools the whole file, asks `verify` whether the digest matched,
/// and only then lets qemu-img (subprocess, no network, limits) read it, feeding its output to the
/// sink. Returns the virtual size (bytes).
Result<std::uint64_t> decode_with_qemu_img(ByteStream& in, ImageFormat format,
                                           const std::function<Result<void>()>& verify,
                                           std::chrono::seconds timeout,
                                           const DecodeContext& context);

}  // namespace ingot::imaging
