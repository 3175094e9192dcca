/// What the tests of decompression and archives share: payloads, tools, and one call that unwraps.
#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "imaging/decompressor.hpp"
#include "tests/support/command.hpp"
#include "tests/support/memory_stream.hpp"

namespace ingot::test {

inline constexpr std::size_t kSliceSizes[] = {1, 7, 512, 4096, 1024 * 1024};

/// Text, noise and zeros in turn, so that every kind of block occurs.
inline Bytes payload(std::size_t size) {
  std::mt19937 random(4711);
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    switch (i / 40'000 % 3) {
      case 0:
        bytes[i] = static_cast<std::byte>("the quick brown fox jumps over "[i * 7 / 5 % 31]);
        break;
      case 1:
        bytes[i] = static_cast<std::byte>(random());
        break;
      default:
        break;
    }
  }
  return bytes;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// `bytes` through `filter`, a command that reads standard input and writes standard output.
inline Bytes filtered(const Bytes& bytes, const std::string& filter) {
  const TempDir dir;
  write_file(dir.path("in"), bytes);
  run("(" + filter + ") < " + dir.path("in") + " > " + dir.path("out"));
  return read_file(dir.path("out"));
}

struct UnwrappedBytes {
  std::string compression;
  std::optional<std::uint64_t> size;  ///< as the stream said before it was read
  bool ranges = false;
  Bytes bytes;
};

/// Unwraps `file` and reads all of it; checks that every slice but the last is a full block.
inline Result<UnwrappedBytes> unwrap_all(Bytes file, std::size_t slice_size = 1024 * 1024,
                                         const imaging::UnwrapLimits& limits = {}) {
  MemoryStreamOptions options;
  options.slice_size = slice_size;
  options.ranges = true;
  INGOT_TRY_ASSIGN(
      auto unwrapped,
      imaging::unwrap(std::make_unique<MemoryStream>(std::move(file), options), {}, limits));
  UnwrappedBytes out{
      unwrapped.compression, unwrapped.stream->size(), unwrapped.stream->ranges() != nullptr, {}};
  bool short_slice = false;
  for (;;) {
    INGOT_TRY_ASSIGN(const Slice slice, unwrapped.stream->next());
    if (slice.empty()) break;
    if (out.compression != "none") {
      EXPECT_FALSE(short_slice) << "a short block in the middle of the stream";
      short_slice = slice.size() != imaging::kStreamBlock;
    }
    out.bytes.insert(out.bytes.end(), slice.bytes().begin(), slice.bytes().end());
  }
  const auto again = unwrapped.stream->next();
  EXPECT_TRUE(again && again->empty()) << "the end must stay the end";
  return out;
}

/// The error of unwrapping `file`, which must be there.
inline Error unwrap_error(Bytes file, std::size_t slice_size = 1024 * 1024,
                          const imaging::UnwrapLimits& limits = {}) {
  auto result = unwrap_all(std::move(file), slice_size, limits);
  if (!result) return result.error();
  ADD_FAILURE() << "accepted, as " << result->compression << ", " << result->bytes.size()
                << " bytes";
  return Error(Errc::internal_bug, "accepted");
}

}  // namespace ingot::test
