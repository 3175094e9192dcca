/// HoldStore: stretches of the image file that have passed but that no L2 table has claimed yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/core/scratch.hpp"

namespace ingot::imaging::qcow2 {

/// Keeps file bytes by their file offset, in memory first, then, once scratch room was given, in
/// the scratch. All-zero stretches cost nothing but their entry.
///
/// Units    file offsets and lengths in bytes.
/// Threads  one.
/// Memory   memory_used() counts content and bookkeeping; the caller decides when it is too much.
class HoldStore {
 public:
  /// Keeps `data`, which stood at `offset` in the file. Never called twice for the same bytes.
  /// Errors: write.scratch, image.not-streamable when the scratch is full.
  Result<void> put(std::uint64_t offset, std::span<const std::byte> data);

  /// How many bytes from `offset` on are here without a gap, up to `length`.
  [[nodiscard]] std::uint64_t available(std::uint64_t offset, std::uint64_t length) const;

  /// Whether the range is here and known to be zeros without looking at it.
  [[nodiscard]] bool is_zero(std::uint64_t offset, std::uint64_t length) const;

  /// Copies the range, which must be here, into `out`.
  Result<void> read(std::uint64_t offset, std::span<std::byte> out);

  /// Forgets the range (whatever of it is here).
  void drop(std::uint64_t offset, std::uint64_t length);
  void clear();

  [[nodiscard]] std::uint64_t memory_used() const noexcept { return memory_; }
  [[nodiscard]] bool spilling() const noexcept { return scratch_ != nullptr; }

  /// From now on new content goes to `scratch`, which outlives the store.
  void spill_to(Scratch& scratch) { scratch_ = &scratch; }

 private:
  enum class Where { zeros, memory, scratch };
  struct Piece {
    std::uint64_t length = 0;
    Where where = Where::zeros;
    std::vector<std::byte> bytes;      // memory
    std::uint64_t scratch_offset = 0;  // scratch
  };
  using Pieces = std::map<std::uint64_t, Piece>;

  void add(std::uint64_t offset, Piece piece);
  void forget(const Piece& piece);
  // Visits the pieces that cover the range, in order; false if there is a gap.
  template <class Visit>
  bool cover(std::uint64_t offset, std::uint64_t length, Visit visit) const;

  Pieces pieces_;
  std::uint64_t memory_ = 0;
  Scratch* scratch_ = nullptr;
  std::uint64_t scratch_end_ = 0;
};

}  // namespace ingot::imaging::qcow2
