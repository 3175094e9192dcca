/// PartitionTable: a GPT or MBR, read and changed by libfdisk on a disk's copy in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/table/shadow_disk.hpp"

namespace ingot::disk {

enum class TableKind { none, gpt, dos };
[[nodiscard]] std::string_view name(TableKind kind) noexcept;

struct Partition {
  unsigned number = 0;       ///< from 1, as in sda1
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t size = 0;    ///< bytes
  std::string type;          ///< GPT: type GUID; MBR: hexadecimal type
  std::string uuid;          ///< GPT: partition GUID; MBR: "disk id-number"
  std::string name;          ///< GPT: partition name
  std::string attributes;    ///< GPT: as libfdisk words them
  bool container = false;    ///< MBR: the extended partition, which holds the logical ones

  bool operator==(const Partition&) const = default;
};

/// Sources: UEFI 2.10, 5.3 "GUID Partition Table"; the MBR as libfdisk's "dos" knows it.
class PartitionTable {
 public:
  /// Reads the table on `disk`, which outlives this. `sector` is the logical sector size in bytes.
  /// A damaged table, or none, is kind none. Errors: internal.bug (libfdisk has no memory).
  static Result<PartitionTable> open(const ShadowDisk& disk, std::uint32_t sector);
  PartitionTable(PartitionTable&&) noexcept;
  PartitionTable& operator=(PartitionTable&&) noexcept;
  ~PartitionTable();

  [[nodiscard]] TableKind kind() const noexcept;
  /// GPT: the disk's GUID in lower case; MBR: "0x" and eight digits; "" without a table.
  [[nodiscard]] const std::string& identifier() const noexcept;
  /// In the order of their numbers.
  [[nodiscard]] const std::vector<Partition>& partitions() const noexcept;
  /// One that ends behind the disk, and so is none of partitions().
  [[nodiscard]] const std::optional<Partition>& behind_disk() const noexcept;

  /// Adds a partition named `name` behind all others, or in the last gap with room: of `wanted`
  /// bytes if there are so many, else of at least `least`. GPT: of type Linux file system; MBR: a
  /// primary one of type 0x0c, below the 2 TiB that an MBR can address. It starts at a whole MiB,
  /// and ends at one where there is room for that. Nothing is on `disk` before write().
  /// Errors: device.no-room.
  Result<Partition> add(std::uint64_t wanted, std::uint64_t least, const std::string& name);

  /// Writes the table onto `disk`: with a GPT both copies, the second at the disk's end.
  /// Errors: image.corrupt when libfdisk refuses (overlapping partitions and the like).
  Result<void> write();

 private:
  struct Impl;
  explicit PartitionTable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::disk
