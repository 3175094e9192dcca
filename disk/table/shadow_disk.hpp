/// ShadowDisk: a sparse file in memory as large as a disk, for libraries that want a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::disk {

/// What was not put there reads as zeros and takes no memory. Owns its descriptor.
class ShadowDisk {
 public:
  /// `size` in bytes. Errors: internal.bug (no memory file).
  static Result<ShadowDisk> make(std::uint64_t size);

  /// [offset, offset + bytes.size()) must lie inside. Errors: internal.bug.
  Result<void> put(std::uint64_t offset, std::span<const std::byte> bytes);
  Result<void> get(std::uint64_t offset, std::span<std::byte> bytes) const;

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  ShadowDisk(UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  UniqueFd fd_;
  std::uint64_t size_;
};

}  // namespace ingot::disk
