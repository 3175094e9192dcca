/// JobStart and JobResult: what a job works on and how it ended, in values that name no part of
/// imaging or disk, so that whoever only tells of a job needs neither.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/report/progress_view.hpp"
#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// What is done to what.
struct JobStart {
  std::string image_url{};     ///< may hold credentials: events redact it; "" for an erase
  std::string erase_method{};  ///< "metadata", "discard", "zero", "secure"; "" for all others
  std::string device{};
  bool dry_run = false;
};

/// What became of the target.
enum class DiskState {
  untouched,   ///< nothing was written to it
  unbootable,  ///< written in part; its first and last MiB are zeros
  unknown,     ///< written in part, and zeroing those failed
  complete,    ///< verified and committed
};
[[nodiscard]] std::string_view name(DiskState state) noexcept;

/// The image that was streamed, all of it.
struct StreamedImage {
  Digest digest;                   ///< of the bytes as served
  std::string format;              ///< "raw", "qcow2", …
  std::string compression;         ///< around the image: "none", "gzip", "xz+tar", …
  std::uint64_t virtual_size = 0;  ///< bytes
};

/// The disk's partition table as it is now.
struct FinishedTable {
  struct ConfigDrive {
    unsigned partition = 0;
    std::uint64_t offset = 0, size = 0;  ///< bytes
    bool added = false;                  ///< its partition is new
  };
  std::string kind;            ///< "gpt", "dos"; "" without a table
  std::string identifier;      ///< or ""
  std::size_t partitions = 0;  ///< the config drive's included
  bool backup_moved = false;   ///< the backup GPT is at the disk's end now, and was not
  std::optional<ConfigDrive> config_drive;
};

/// What an erase did, or with a dry run would have done.
struct ErasedDisk {
  struct Signature {
    std::uint64_t offset = 0;  ///< bytes of the disk
    std::string type, where;   ///< "ext4"; "partition 2"
  };
  std::string method;
  std::string how;                           ///< of a secure erase, else ""
  std::size_t partitions = 0;                ///< that were found
  std::vector<Signature> signatures;         ///< that were found
  std::vector<std::string> partition_types;  ///< of those: a GUID in lower case, or "0x83"
  std::uint64_t disk_size = 0;               ///< bytes
};

/// How a job ended.
struct JobResult {
  std::optional<Error> error;                     ///< nothing: succeeded
  std::string device;                             ///< "": none was chosen
  std::optional<StreamedImage> image;             ///< what was streamed, if all of it was
  std::optional<FinishedTable> finished;          ///< its table, if that was finished
  std::optional<ErasedDisk> erased;               ///< of an erase
  bool verified = false;                          ///< there was a checksum to compare with
  std::optional<std::uint64_t> first_difference;  ///< of a comparison: byte of the disk
  ProgressSnapshot progress;
  DiskState disk = DiskState::untouched;
  double seconds = 0;
  std::uint64_t peak_rss = 0;  ///< bytes

  /// "succeeded", "failed", "cancelled".
  [[nodiscard]] std::string_view status() const;
};

}  // namespace ingot::agent
