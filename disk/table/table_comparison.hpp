/// TableComparison: what may differ between an image and the disk it was written onto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "disk/claim.hpp"
#include "disk/difference_map.hpp"
#include "disk/table/partition_table.hpp"
#include "disk/table/table_sectors.hpp"

namespace ingot::disk {

/// A disk that was finished (finish_disk.hpp) differs from its image on purpose. None of that
/// counts; all else does:
/// GPT      the places of the backup in both headers, what can be used, the checksums, the size in
///          the protective MBR; the backup itself at the disk's end, which has to be sound and to
///          say the same; zeros where the image's own backup was, unless a partition lies there.
///          The disk's GUID and every entry of the image are compared to the byte. One partition
///          more is allowed. A GPT header that no protective MBR names is bytes as all others.
///          A primary GPT that is damaged in the image was rebuilt, and only has to be sound.
/// MBR      one primary partition more.
/// Drive    the content of a partition that is the config drive's: its GPT name or its file
///          system's label is config-2.
/// Entries outside the first MiB are compared as they are.
class TableComparison {
 public:
  /// Reads the disk's table, and has `differences`, which outlives this as `target` does, ignore
  /// config drives. To be called before anything is compared. Errors: write.io.
  static Result<TableComparison> open(const Claim& target, DifferenceMap& differences);

  /// Compares the image's first bytes, at most 1 MiB, of `image_size`, and forgives what may differ
  /// elsewhere; after everything else was compared. The notes say what was allowed. Errors:
  /// write.io.
  Result<std::vector<std::string>> compare(std::span<const std::byte> image,
                                           std::uint64_t image_size);

  /// "partition 2 'root'", "the partition table", …: where a byte of the disk lies.
  [[nodiscard]] std::string place_of(std::uint64_t offset) const;

 private:
  TableComparison(const Claim& target, DifferenceMap& differences)
      : target_(target), differences_(differences) {}
  Result<void> read();
  struct Piece {
    std::uint64_t offset;
    std::span<const std::byte> bytes;
  };
  [[nodiscard]] Result<std::optional<PartitionTable>> table_of(
      std::initializer_list<Piece> pieces) const;
  void accept_entries(std::vector<std::byte>& expected, std::uint64_t entries, std::uint64_t count,
                      std::uint64_t size, std::uint64_t type_bytes);
  void accept_protective_size(std::vector<std::byte>& expected) const;
  [[nodiscard]] bool sound(std::span<const std::byte> head) const;
  Result<void> accept_rebuilt(std::vector<std::byte>& expected, std::uint64_t image_size);
  Result<void> compare_gpt(std::vector<std::byte>& expected, bool same);
  Result<void> compare_backup(std::span<const std::byte> image, std::vector<std::byte>& expected,
                              std::uint64_t array_bytes, bool same);
  [[nodiscard]] ByteRange behind_table(std::span<const std::byte> expected, ByteRange range) const;
  Result<void> accept_zeroed_backup(std::vector<std::byte>& expected, ByteRange old);

  const Claim& target_;
  DifferenceMap& differences_;
  std::uint32_t sector_ = 512;
  std::vector<std::byte> head_, tail_;  // the disk's
  std::uint64_t tail_offset_ = 0;
  std::uint64_t backup_ = UINT64_MAX;  // where the disk's backup GPT begins
  TableKind kind_ = TableKind::none;
  std::vector<Partition> partitions_;  // the disk's; if it has none, the image's
  std::vector<Partition> drives_;      // those of them that are config drives
  std::optional<Partition> added_;     // that the image has not
  std::vector<std::string> notes_;
};

}  // namespace ingot::disk
