/// Claims: what L2 tables say about stretches of the image file, ordered by where they lie in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "imaging/qcow2/header.hpp"

namespace ingot::imaging::qcow2 {

/// What a stretch of the file is.
enum class ClaimKind : std::uint8_t {
  data,        ///< guest bytes as they are
  compressed,  ///< one compressed cluster, up to its last 512-byte sector
  skip,        ///< allocated, but its content is of no use (zero clusters with a host cluster)
};

/// One stretch of the file: [host, host + length) in file bytes, for the guest bytes from `guest`.
/// Contiguous clusters that are contiguous in the guest as well are one claim.
struct Claim {
  std::uint64_t host = 0;
  std::uint64_t guest = 0;
  std::uint32_t length = 0;  ///< file bytes; at most kMaxClaim
  ClaimKind kind = ClaimKind::data;

  [[nodiscard]] std::uint64_t end() const { return host + length; }
};

/// Longest claim, bytes.
inline constexpr std::uint32_t kMaxClaim = 1U << 30;

/// Claims that lie ahead, smallest file offset first. Tables come in batches that are nearly sorted
/// each, so this merges sorted runs instead of keeping one large tree.
///
/// Memory: 24 bytes a claim; a run is freed when its last claim is taken.
class ClaimQueue {
 public:
  /// Adds a table's claims, in any order.
  void add(std::vector<Claim> claims);
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  /// The claim with the smallest file offset. Not on an empty queue.
  [[nodiscard]] const Claim& front() const { return heap_.front().claims[heap_.front().next]; }
  Claim pop();
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Drops the claims with the largest file offsets until `keep` are left; returns the smallest
  /// offset dropped: from there on the queue knows nothing.
  std::uint64_t trim(std::size_t keep);

 private:
  struct Run {
    std::vector<Claim> claims;
    std::size_t next = 0;
  };
  static bool later(const Run& a, const Run& b) {
    return a.claims[a.next].host > b.claims[b.next].host;
  }
  std::vector<Run> heap_;  // std::*_heap by `later`
  std::size_t size_ = 0;
};

/// A guest range that reads as zeros.
using ZeroRange = std::function<Result<void>(std::uint64_t guest, std::uint64_t length)>;

/// Reads one L2 table: claims for what has a place in the file, `zero` for every guest range that
/// has none. `table` is the whole table (a cluster), at `host` in the file, mapping the guest from
/// `guest` on. `file_size` (where known) bounds every claim.
///
/// Errors: image.corrupt with the entry's number and what is wrong with it; what `zero` returns.
/// `zero` may be empty: then only claims are wanted.
Result<std::vector<Claim>> parse_l2(const Header& header, std::span<const std::byte> table,
                                    std::uint64_t host, std::uint64_t guest,
                                    std::optional<std::uint64_t> file_size, const ZeroRange& zero);

}  // namespace ingot::imaging::qcow2
