/// DifferenceMap: where a disk differs from what it should hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace ingot::disk {

/// The smallest unit that is kept apart, whatever the disk's own sectors are.
inline constexpr std::uint64_t kDifferenceSector = 512;

/// Stretches of sectors that differ, by their place.
///
/// Threads  any.
/// Memory   16384 stretches; beyond them the highest are only counted.
class DifferenceMap {
 public:
  /// Leaves [from, to), multiples of a sector, out from now on. Before anything is compared.
  void ignore(std::uint64_t from, std::uint64_t to);
  /// Compares what lies at byte `offset` with what should lie there; the spans are equally long. An
  /// empty `wanted` stands for zeros.
  void compare(std::uint64_t offset, std::span<const std::byte> found,
               std::span<const std::byte> wanted);
  /// [offset, offset + length), at most a sector, differs in `bytes` bytes from `first` on.
  void add(std::uint64_t offset, std::uint64_t length, std::uint64_t first, std::uint64_t bytes);
  /// Nothing in [from, to) counts, multiples of a sector; what is not known any more to the byte is
  /// then a least number. Whether anything differed there, ignored or not.
  bool forgive(std::uint64_t from, std::uint64_t to);

  struct Summary {
    std::uint64_t first;  ///< the lowest byte that differs
    std::uint64_t bytes;  ///< how many do
    bool exact;           ///< or at least so many
  };
  /// Nothing when nothing differs.
  [[nodiscard]] std::optional<Summary> summary() const;

 private:
  struct Stretch {
    std::uint64_t end;
    std::uint64_t first;
    std::uint64_t bytes;
  };
  void add_locked(std::uint64_t begin, Stretch stretch);

  struct Ignored {
    std::uint64_t begin, end;
    bool differs = false;
  };

  mutable std::mutex mutex_;
  std::vector<Ignored> ignored_;
  std::map<std::uint64_t, Stretch> stretches_;  // by begin; they do not touch
  std::uint64_t dropped_bytes_ = 0;
  std::uint64_t dropped_first_ = UINT64_MAX;
  bool exact_ = true;
};

}  // namespace ingot::disk
