/// The qcow2 header: parsed and judged before anything else of the file is believed.
///
/// Source: docs/interop/qcow2.txt of QEMU 7.2 ("Header", "Additional fields", "Header extensions").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "disk/core/error.hpp"

namespace ingot::imaging::qcow2 {

/// Largest active L1 table accepted, bytes; the limit QEMU sets as well (QCOW_MAX_L1_SIZE).
inline constexpr std::uint64_t kMaxL1Bytes = 32ULL * 1024 * 1024;

enum class ClusterCompression { deflate, zstd };

/// The fields that decide how the rest is read. All offsets are bytes in the image file.
struct Header {
  std::uint32_t version = 0;       ///< 2 or 3
  std::uint32_t cluster_bits = 0;  ///< 9 to 21
  std::uint64_t virtual_size = 0;  ///< bytes of the decoded disk
  std::uint64_t l1_offset = 0;     ///< cluster-aligned
  std::uint32_t l1_entries = 0;    ///< of the active L1 table, as stored
  std::uint32_t snapshots = 0;     ///< passed over
  std::uint64_t incompatible = 0;  ///< feature bits, v3
  std::uint32_t refcount_bits = 16;
  ClusterCompression compression = ClusterCompression::deflate;
  bool extended_l2 = false;  ///< 16-byte L2 entries with 32 subclusters each
  bool dirty = false;        ///< refcounts may be stale; harmless to a reader

  // What makes an image unfit to be written (see check_supported()).
  std::string backing_file;  ///< its name, or ""
  bool has_backing_file = false;
  bool has_data_file = false;
  std::uint32_t crypt_method = 0;
  bool corrupt = false;

  [[nodiscard]] std::uint64_t cluster_size() const { return 1ULL << cluster_bits; }
  [[nodiscard]] std::uint64_t l2_entry_size() const { return extended_l2 ? 16 : 8; }
  [[nodiscard]] std::uint64_t l2_entries() const { return cluster_size() / l2_entry_size(); }
  /// Guest bytes that one L2 table maps.
  [[nodiscard]] std::uint64_t l2_span() const { return l2_entries() << cluster_bits; }
  /// L1 entries that map guest bytes; those behind them hold a saved VM's state.
  [[nodiscard]] std::uint64_t used_l1_entries() const {
    return (virtual_size + l2_span() - 1) / l2_span();
  }
};

/// Parses the header from the file's first bytes (the first cluster is enough; less is accepted
/// where the fields lie inside). Fields that no reader could act on are refused here, whoever asks.
/// Errors: image.corrupt naming the field, image.unsupported for unknown incompatible features.
Result<Header> parse_header(std::span<const std::byte> head);

/// Refuses what a disk must not be made from: a backing file, an external data file, encryption,
/// the corrupt bit. `file_size` (bytes, where known) bounds the L1 table.
/// Errors: image.unsupported, image.corrupt.
Result<void> check_supported(const Header& header, std::optional<std::uint64_t> file_size);

}  // namespace ingot::imaging::qcow2
