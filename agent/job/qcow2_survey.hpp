/// How a qcow2 file is laid out: can it be decoded while it arrives, and if not, what does it need?
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "disk/core/error.hpp"
#include "imaging/qcow2/header.hpp"

namespace ingot::agent {

/// What the tables say. Offsets and sizes in file bytes.
struct Qcow2Survey {
  std::uint64_t l2_tables = 0;
  /// The longest stretch of the file between a cluster and the later end of the table that maps it:
  /// at most this much has to be held until it can be placed.
  std::uint64_t longest_hold = 0;
};

/// Reads part of the file; at least as much as it is asked for, or fails.
using ReadAt = std::function<Result<void>(std::uint64_t offset, std::span<std::byte> out)>;

/// Reads the active L1 table and its L2 tables, one cluster of memory at a time. Nothing when the
/// tables are larger than `most_bytes` together, or cannot all be reached by `read`.
/// Errors: image.corrupt for tables outside a file of `file_size`, if that is known.
Result<std::optional<Qcow2Survey>> survey_qcow2(const imaging::qcow2::Header& header,
                                                std::optional<std::uint64_t> file_size,
                                                std::uint64_t most_bytes, const ReadAt& read);

}  // namespace ingot::agent
