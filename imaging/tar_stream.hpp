/// TarStream: the one file in a tar, as a stream.
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

/// Delivers the contents of a tar's only regular file (ustar, pax, GNU; sparse files with their
/// holes as zeros). Directories may stand around it; any other entry is an error, and so is a
/// second file, which shows only once the first has been delivered: whoever commits waits for the
/// end of the stream. The tar must end with its marker and nothing but zeros.
///
/// Threads  works on the reader's thread.
/// Memory   kBlocks blocks. A header (with the map of a sparse file) is limited to 4 MiB.
/// Errors   image.archive naming the entries; the input's; cancelled.
class TarStream final : public ByteStream {
 public:
  /// Reads up to the file's first byte.
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
