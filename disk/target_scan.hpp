/// Reading a stretch of a target from the medium, several requests at once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/buffer.hpp"
#include "disk/core/error.hpp"

namespace ingot::disk {

/// How a read goes about it.
struct ReadOptions {
  /// One request is in flight for each of these, as large as it; at least one. Multiples of
  /// kBufferAlignment.
  std::vector<BufferRef> buffers;
  std::stop_token stop;
  /// A request that is not answered for this long ends the read; nothing then waits for it.
  std::chrono::milliseconds stall_limit{120'000};
  std::atomic<bool>* hung = nullptr;    ///< set when that happened; may be absent
  Errc failure = Errc::write_readback;  ///< of a read that fails
};

/// What was read at `offset`. `data` is empty where a file has a hole: `length` zeros then.
/// Called on several threads at once, in ascending order of when reading began; its error ends the
/// read.
using TakeBytes = std::function<Result<void>(std::uint64_t offset, std::uint64_t length,
                                             std::span<const std::byte> data)>;

/// Reads [from, to) of `target` and gives each byte to `take` once. Past the page cache: with
/// O_DIRECT, and where the target has none the cache is dropped first. Holes of a regular file, for
/// whose zeros the file system answers, are not read.
/// Errors: `options.failure` with path and offset; cancelled; what `take` returns. After it
/// returned, `take` is not called any more.
Result<void> scan_target(const Claim& target, std::uint64_t from, std::uint64_t to,
                         ReadOptions options, TakeBytes take);

}  // namespace ingot::disk
