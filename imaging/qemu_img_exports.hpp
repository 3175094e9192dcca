/// The two ends of a qemu-img run: the image file it reads (from scratch) and the decoded disk it
/// writes (to the sink).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/extent_sink.hpp"
#include "disk/core/scratch.hpp"
#include "imaging/nbd_server.hpp"

namespace ingot::imaging {

/// The image file in scratch room, read-only, with read-ahead: qemu-img reads a table here and
/// 64 KiB there, and scratch on a disk wants few, large reads.
///
/// Memory   4 blocks of 1 MiB, least recently used out.
class ScratchExport final : public NbdExport {
 public:
  /// `scratch` outlives the export and holds `size` bytes of image file from offset 0 on.
  ScratchExport(Scratch& scratch, std::uint64_t size) : scratch_(scratch), size_(size) {}

  [[nodiscard]] std::string name() const override { return "source"; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] bool read_only() const override { return true; }
  Result<void> read(std::uint64_t offset, std::uint64_t length, const Send& send) override;
  Result<void> write(std::uint64_t, std::uint64_t, const Receive&) override;
  Result<void> zero(std::uint64_t, std::uint64_t) override;

 private:
  struct CachedBlock {
    std::uint64_t offset = UINT64_MAX;
    std::uint64_t last_used = 0;
    std::vector<std::byte> bytes;
  };
  Result<std::span<const std::byte>> block(std::uint64_t offset);

  Scratch& scratch_;
  const std::uint64_t size_;
  std::array<CachedBlock, 4> cache_;
  std::uint64_t uses_ = 0;
};

/// The decoded disk, write-only. Turns qemu-img's ascending writes into extents: neighbours become
/// one write of up to a sink buffer, cut at multiples of 1 MiB, and whatever was not written before
/// the next write or the end becomes zeros.
///
/// Order    without -W, `qemu-img convert` writes in ascending order; a write that goes back is an
///          error. So one position tells what is covered, whatever the disk's size.
/// Errors   what the sink returns; Errc::image_convert for writes out of order and for reads.
class SinkExport final : public NbdExport {
 public:
  /// `sink` outlives the export and has been told to begin().
  SinkExport(ExtentSink& sink, std::uint64_t size) : sink_(sink), size_(size) {}

  [[nodiscard]] std::string name() const override { return "target"; }
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] bool read_only() const override { return false; }
  Result<void> read(std::uint64_t, std::uint64_t, const Send&) override;
  Result<void> write(std::uint64_t offset, std::uint64_t length, const Receive& receive) override;
  Result<void> zero(std::uint64_t offset, std::uint64_t length) override;

  /// Hands over what is still held, and zeros the rest. Once, after a successful conversion.
  Result<void> finish();

 private:
  Result<void> advance_to(std::uint64_t offset);
  Result<void> flush();

  ExtentSink& sink_;
  const std::uint64_t size_;
  std::uint64_t covered_ = 0;   // guest bytes below this were handed to the sink
  std::uint64_t promised_ = 0;  // below this all is covered, held in buffer_, or to be zeros
  BufferRef buffer_;
  std::size_t filled_ = 0;  // bytes of buffer_, the guest's from covered_ on
};

}  // namespace ingot::imaging
