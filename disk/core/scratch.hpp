/// Scratch: room for stretches of an image *file* that cannot be placed yet.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "disk/core/error.hpp"

namespace ingot {

/// Random-access room that is thrown away before commit: a region of the target disk beyond the
/// image's virtual size ("parking"), or a file in a directory the user named ("spooling").
///
/// Units    offsets in bytes from the start of the room; any alignment.
/// Threads  one caller at a time.
class Scratch {
 public:
  virtual ~Scratch() = default;
  /// Bytes of room.
  [[nodiscard]] virtual std::uint64_t capacity() const = 0;
  /// Errors: write.scratch.
  [[nodiscard]] virtual Result<void> write(std::uint64_t offset,
                                           std::span<const std::byte> data) = 0;
  /// Reads exactly `data.size()` bytes that were written before. Errors: write.scratch.
  [[nodiscard]] virtual Result<void> read(std::uint64_t offset, std::span<std::byte> data) = 0;

  /// What another program needs to read the room: an open descriptor, whether that is a block
  /// device, and where in it the room starts. The descriptor stays the scratch's own.
  struct Window {
    int fd;
    bool block_device;
    std::uint64_t start;
  };
  /// Makes all that was written visible to other readers of the descriptor.
  [[nodiscard]] virtual Result<Window> window() = 0;
  /// For messages: "the end of /dev/sda", "/var/tmp".
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// Opens scratch room on demand. Asked after ExtentSink::begin(), or before it with a guess.
class ScratchProvider {
 public:
  virtual ~ScratchProvider() = default;
  /// Room for `needed` bytes (0: as much as there is) that leaves the first `keep` bytes of the
  /// target free for the decoded disk. May be called once per job; the scratch lives as long as
  /// the provider. Errors: image.not-streamable, saying what room was found and what would do.
  [[nodiscard]] virtual Result<Scratch*> open(std::uint64_t keep, std::uint64_t needed) = 0;
};

}  // namespace ingot
