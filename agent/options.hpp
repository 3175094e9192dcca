/// What a command line asks for, parsed and checked for form; what the words mean is decided by the
/// commands.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/config_drive_source.hpp"
#include "agent/memory_budget.hpp"
#include "disk/erase/erase.hpp"
#include "disk/inventory/hints.hpp"
#include "imaging/digest.hpp"
#include "imaging/image_format.hpp"

namespace ingot::agent {

/// Decoding threads. More than the default's limit gain nothing, since a write has 24 buffers and
/// each thread fills one, but cost memory: up to two clusters of 2 MiB each.
inline constexpr unsigned kMaxThreads = 16;
inline constexpr unsigned kMostDefaultThreads = 8;

enum class ProgressMode { automatic, bar, json, none };

/// How to talk to servers. The files are read later.
struct NetworkOptions {
  std::string ca_file;
  bool tls_insecure = false;
  std::string proxy, no_proxy;
  std::string user, password_file;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds stall_timeout{30'000};
  std::chrono::milliseconds retry_deadline{300'000};
};

/// Which image, and how it is known to be the right one.
struct ImageOptions {
  std::string os_image;           ///< manifest file, or "" (then `urls` has some)
  std::vector<std::string> urls;  ///< mirrors
  imaging::ChecksumRequest checksum;
  bool no_checksum_accepted = false;
  std::optional<imaging::ImageFormat> format;  ///< nothing: by content
  bool allow_unrecognized = false;
};

/// The disk that is overwritten, and how sure the user is of that.
struct TargetOptions {
  std::string device;                          ///< or "", and hints
  std::optional<disk::RootDeviceHints> hints;  ///< which disk it is to be
  std::vector<std::string> only;               ///< the disks that hints choose among; none: all
  std::optional<disk::DiskIdentity> chosen;    ///< by hints
  std::optional<std::uint64_t> size;           ///< bytes; of a regular file to be created
  bool yes = false;
  bool force = false;  ///< though it is in use
  bool dry_run = false;
};

/// Whom to tell how a job is going.
struct ReportingOptions {
  ProgressMode progress = ProgressMode::automatic;
  std::string report_url, report_token_file;
};

/// What streaming an image may use.
struct ResourceOptions {
  std::uint64_t memory_limit = kDefaultMemoryLimit;  ///< bytes, see MemoryBudget
  std::string scratch_dir;
  unsigned threads = 0;  ///< 0: decided by the cores
};

/// `ingot write`.
struct WriteOptions {
  ImageOptions image;
  TargetOptions target;
  ConfigDriveOptions config_drive;
  bool verify_readback = false;
  ReportingOptions reporting;
  ResourceOptions resources;
  NetworkOptions network;
};

/// `ingot verify`.
struct VerifyOptions {
  ImageOptions image;
  std::string device;
  ReportingOptions reporting;
  ResourceOptions resources;
  NetworkOptions network;
};

/// `ingot erase`.
struct EraseCommandOptions {
  TargetOptions target;
  disk::EraseMethod method = disk::EraseMethod::metadata;
  ReportingOptions reporting;
  NetworkOptions network;  ///< to whom it is reported
};

/// `ingot image-info`.
struct ImageInfoOptions {
  std::string image;  ///< a path or a URL
  bool json = false;
  NetworkOptions network;
};

/// `ingot devices`.
struct DevicesOptions {
  std::vector<std::string> devices;              ///< these alone; empty: every disk
  std::optional<std::string> root_device_hints;  ///< JSON
  bool json = false;
};

/// `--help` and `--version`: text for standard output.
struct ShowText {
  std::string text;
};

using Command = std::variant<ShowText, WriteOptions, VerifyOptions, EraseCommandOptions,
                             ImageInfoOptions, DevicesOptions>;

}  // namespace ingot::agent
