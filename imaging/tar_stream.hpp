/// TarStream: the one disk image in a tar, as a stream.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "imaging/byte_stream.hpp"

namespace ingot::imaging {

/// Whether `head` (512 bytes or more) starts a tar: "ustar" where POSIX and GNU put it, the
/// header's checksum right, and no boot signature behind it. A disk image wins that way: a tar
/// header's last bytes are padding, a boot sector's are 55 AA. Tars older than POSIX.1-1988 have no
/// magic and are not recognised.
bool starts_tar(std::span<const std::byte> head) noexcept;

/// Delivers the contents of the one disk image in a tar (ustar, pax, GNU; sparse files with their
/// holes as zeros).
///
/// Beside  it may stand, before or behind: directories, symbolic links, hard links without contents
///         of their own, empty files, files under 64 KiB that are no image by content, and what
///         macOS adds (AppleDouble, .DS_Store). Any other file is an image that was meant, and a
///         second one is an error, as is a second entry of the image's own name: at once if the
///         first image ends within its first block, else when it has been delivered; whoever
///         commits waits for the end of the stream. Devices and FIFOs are an error wherever they
///         stand: such a tar is of a file system.
/// End     the tar must end with its marker and nothing but zeros. The last slice comes only when
///         that is known.
/// Threads works on the reader's thread.
/// Memory  kBlocks blocks. A header (with the map of a sparse file) is limited to 4 MiB.
/// Errors  image.archive naming the entries; the input's; cancelled.
class TarStream final : public ByteStream {
 public:
  /// Reads up to the image's first bytes.
  static Result<std::unique_ptr<TarStream>> open(std::unique_ptr<ByteStream> in,
                                                 std::stop_token stop);
  ~TarStream() override;

  Result<Slice> next() override;
  [[nodiscard]] std::optional<std::uint64_t> size() const override;
  [[nodiscard]] RangeReader* ranges() override { return nullptr; }

  static constexpr std::size_t kBlocks = 8;

 private:
  struct Impl;
  explicit TarStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::imaging
