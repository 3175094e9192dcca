/// An image file on its way into scratch room: readable at its start before it is parked, and
/// everywhere after.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "disk/core/scratch.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/foreign_header.hpp"

namespace ingot::imaging {

/// Threads  one.
/// Memory   before parking, what was asked for of the file's start, at most `head_limit` bytes.
class ParkedFile {
 public:
  /// `in` outlives the object and stands at the file's first byte.
  ParkedFile(ByteStream& in, std::size_t head_limit) : in_(in), head_limit_(head_limit) {}

  /// The file for header readers. Before park() only its start is there, fetched as it is asked
  /// for; after it all of it. Valid as long as this object.
  [[nodiscard]] ForeignFile view();

  /// Writes the whole file into `scratch`, which outlives this object. Once.
  /// Errors: the stream's, the scratch's, image.not-streamable when the room ends before the file,
  /// cancelled.
  Result<void> park(Scratch& scratch, const std::stop_token& stop);

  /// Bytes of the file; known after park().
  [[nodiscard]] std::uint64_t size() const noexcept { return received_; }

 private:
  Result<bool> read(std::uint64_t offset, std::span<std::byte> out);
  Result<void> put(std::uint64_t offset, std::span<const std::byte> data);

  ByteStream& in_;
  const std::size_t head_limit_;
  std::vector<std::byte> head_;
  std::uint64_t received_ = 0;
  bool ended_ = false;
  Scratch* scratch_ = nullptr;
};

}  // namespace ingot::imaging
