/// TableIndex: the active L1 table, kept as the list of L2 tables in file order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "disk/core/error.hpp"
#include "imaging/qcow2/claims.hpp"
#include "imaging/qcow2/header.hpp"

namespace ingot::imaging::qcow2 {

/// Enough of a SHA-256 to tell two L2 tables apart against somebody who chooses both.
using Fingerprint = std::array<std::byte, 16>;
Fingerprint fingerprint(std::span<const std::byte> bytes);

/// Filled by feed() with the L1 table's bytes, complete once every used entry has come; then the
/// tables are walked in file order.
///
/// Memory: 16 bytes for each L2 table that exists, and as much again for each fingerprint kept.
class TableIndex {
 public:
  /// `header` outlives the index.
  explicit TableIndex(const Header& header) : header_(header) {}

  struct Table {
    std::uint64_t host;      ///< file bytes
    std::uint32_t l1_index;  ///< its place in the L1 table, hence in the guest
  };

  /// The next bytes of the L1 table, a multiple of 8. Guest ranges without a table go to `zero`.
  /// Errors: image.corrupt naming the entry.
  Result<void> feed(std::span<const std::byte> bytes, std::optional<std::uint64_t> file_size,
                    const ZeroRange& zero);
  [[nodiscard]] bool complete() const noexcept { return complete_; }

  /// All tables by file offset. Valid once complete().
  [[nodiscard]] const std::vector<Table>& tables() const noexcept { return tables_; }
  /// Guest byte that the table maps first.
  [[nodiscard]] std::uint64_t guest(const Table& table) const {
    return table.l1_index * header_.l2_span();
  }

  /// Whether fingerprints are kept at all: not for more tables than memory has room for.
  [[nodiscard]] bool keeps_fingerprints() const noexcept {
    return tables_.size() <= kMaxFingerprints;
  }
  void remember(std::size_t index, const Fingerprint& print);
  [[nodiscard]] const Fingerprint& remembered(std::size_t index) const { return prints_[index]; }

 private:
  static constexpr std::size_t kMaxFingerprints = 256 * 1024;

  Result<void> finish();

  const Header& header_;
  std::uint64_t next_entry_ = 0;
  std::uint64_t zero_from_ = 0;  // first guest byte of the zero run that is open
  bool complete_ = false;
  std::vector<Table> tables_;
  std::vector<Fingerprint> prints_;
};

}  // namespace ingot::imaging::qcow2
