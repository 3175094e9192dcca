/// ImageEnding: the last bytes of an image that is only rehearsed and so is nowhere to be read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "disk/core/units.hpp"

namespace ingot::disk {

/// Keeps the last MiB. An image whose size is not known comes in order, and the window moves with
/// it. Thread-safe.
class ImageEnding {
 public:
  /// To be called once, before note().
  void expect(std::optional<std::uint64_t> size) {
    kept_.resize(kKept);
    moves_ = !size;
    if (size) begin_ = *size - std::min<std::uint64_t>(*size, kKept);
  }

  /// [offset, offset + length) has come: `data`, or zeros if that is null.
  void note(std::uint64_t offset, std::uint64_t length, const std::byte* data) {
    const std::uint64_t end = offset + length;
    if (!moves_ && end <= begin_) return;
    const std::lock_guard lock(mutex_);
    if (moves_ && end > begin_ + kKept) {
      const std::uint64_t by = end - kKept - begin_;
      const std::uint64_t stays = kKept - std::min<std::uint64_t>(by, kKept);
      std::memmove(kept_.data(), kept_.data() + (kKept - stays), stays);
      begin_ += by;
    }
    const std::uint64_t from = std::max(offset, begin_);
    const std::uint64_t to = std::min(end, begin_ + kKept);
    if (from >= to) return;
    if (data != nullptr)
      std::memcpy(kept_.data() + (from - begin_), data + (from - offset), to - from);
    else
      std::memset(kept_.data() + (from - begin_), 0, to - from);
  }

  /// False: not all of that is kept.
  bool read(std::uint64_t offset, std::span<std::byte> bytes) const {
    const std::lock_guard lock(mutex_);
    if (kept_.empty() || offset < begin_ || offset - begin_ > kKept ||
        bytes.size() > kKept - (offset - begin_))
      return false;
    std::memcpy(bytes.data(), kept_.data() + (offset - begin_), bytes.size());
    return true;
  }

 private:
  static constexpr std::uint64_t kKept = 1 * MiB;
  mutable std::mutex mutex_;
  std::vector<std::byte> kept_;
  std::uint64_t begin_ = 0;
  bool moves_ = false;
};

}  // namespace ingot::disk
