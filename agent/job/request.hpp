/// What is asked of a job, whoever asks: the command line, Ironic, a controller. Plain values,
/// checked for form; what they mean is decided by the job.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/job/config_drive_source.hpp"
#include "agent/job/memory_budget.hpp"
#include "disk/core/checksum.hpp"
#include "disk/erase/erase.hpp"
#include "disk/inventory/hints.hpp"
#include "imaging/image_format.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

/// Decoding threads. More than the default's limit gain nothing, since a write has 24 buffers and
/// each thread fills one, but cost memory: up to two clusters of 2 MiB each.
inline constexpr unsigned kMaxThreads = 16;
inline constexpr unsigned kMostDefaultThreads = 8;

/// Which image, and how it is known to be the right one.
struct ImageOptions {
  std::vector<std::string> urls;  ///< mirrors; at least one
  ChecksumRequest checksum;
  bool no_checksum_accepted = false;
  bool md5_allowed = true;                     ///< where nobody said that the checksum is to be md5
  std::optional<imaging::ImageFormat> format;  ///< nothing: by content
  std::vector<imaging::ImageFormat> permitted;  ///< no other is written; empty: all are
  bool allow_unrecognized = false;
};

/// The disk that is overwritten, and how sure the user is of that.
struct TargetOptions {
  std::string device;                          ///< or "", and hints
  std::optional<disk::RootDeviceHints> hints;  ///< which disk it is to be
  std::vector<std::string> only;               ///< the disks that hints choose among; none: all
  std::optional<disk::DiskIdentity> chosen;    ///< the disk that was shown or chosen, no other
  std::optional<std::uint64_t> size;           ///< bytes; of a regular file to be created
  bool yes = false;                            ///< the owner of the job is not asked
  bool force = false;                          ///< though it is in use
  bool dry_run = false;
};

/// What streaming an image may use.
struct ResourceOptions {
  std::uint64_t memory_limit = kDefaultMemoryLimit;  ///< bytes, see MemoryBudget
  std::string scratch_dir;
  unsigned threads = 0;  ///< 0: decided by the cores
};

/// An image onto a disk.
struct WriteRequest {
  ImageOptions image;
  TargetOptions target;
  ConfigDriveOptions config_drive;
  bool verify_readback = false;
  ResourceOptions resources;
  imaging::TransferOptions transfer;
};

/// A disk compared with an image.
struct VerifyRequest {
  ImageOptions image;
  std::string device;
  ResourceOptions resources;
  imaging::TransferOptions transfer;
};

/// A disk erased.
struct EraseRequest {
  TargetOptions target;
  disk::EraseMethod method = disk::EraseMethod::metadata;
};

}  // namespace ingot::agent
