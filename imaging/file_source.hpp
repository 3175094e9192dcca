/// A plain file as an image source: file:// URLs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "disk/core/unique_fd.hpp"
#include "imaging/block_feed.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/http_transfer.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {

/// An open plain file and the facts that say whether it is still the same.
struct LocalFile {
  UniqueFd fd;
  std::string path;
  std::uint64_t size = 0;  ///< bytes, when it was opened
};

/// Opens the file that `url` names. Errors: source.file (missing, no plain file, not readable).
Result<LocalFile> open_local_file(const Url& url);

/// Fills `out` from `offset` (bytes). Errors: source.file; source.changed at an early end.
Result<void> read_local_file(const LocalFile& file, std::uint64_t offset, std::span<std::byte> out);

/// One attempt to bring the rest of the object from a file, always from its start (the feed proves
/// what was delivered before). Failures are the mirror's: a file does not get better by waiting.
Attempt run_file_transfer(const Url& url, BlockFeed& feed, KnownObject& known,
                          const HttpTransfer::OnOpened& opened);

/// Random access to a file that is being streamed.
class FileRangeReader final : public RangeReader {
 public:
  explicit FileRangeReader(LocalFile file) : file_(std::move(file)) {}
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    return read_local_file(file_, offset, out);
  }

 private:
  LocalFile file_;
};

}  // namespace ingot::imaging
