/// WriteJob: one image onto one disk, start to end, without a word to anybody but its listener.
#pragma once

#include <optional>
#include <string>

#include "agent/event.hpp"
#include "agent/image_request.hpp"
#include "disk/core/first_error.hpp"
#include "disk/core/progress.hpp"
#include "disk/inventory/disk.hpp"
#include "disk/table/finish_disk.hpp"
#include "imaging/config_drive/config_drive.hpp"
#include "imaging/stream_image.hpp"

namespace ingot::agent {

/// What to write where; all of it decided.
struct WriteJobRequest {
  ImageJob image;
  std::string device;
  std::optional<std::uint64_t> create_size;     ///< bytes
  std::optional<disk::DiskIdentity> confirmed;  ///< the disk that was shown to the user or chosen
  bool force = false;                           ///< though it is in use
  bool dry_run = false;
  bool verify_readback = false;
  std::string scratch_dir;
  std::optional<imaging::ConfigDrive> config_drive;
};

struct WriteJobOutcome {
  std::optional<Error> error;  ///< nothing: verified and committed
  std::optional<imaging::ImageOutcome> image;
  std::optional<disk::FinishedDisk> finished;  ///< the table and the config drive, if it got there
  DiskState disk = DiskState::untouched;
};

/// Claims, streams, commits. Blocks until all of its threads have ended. `job` may be told to stop
/// (with Errc::cancelled) by anybody at any time: before the commit has begun that leaves a disk
/// that does not boot, after that it is too late.
/// `counters`, `listener` and `job` outlive the call.
WriteJobOutcome run_write_job(WriteJobRequest request, ProgressCounters& counters,
                              JobListener& listener, FirstError& job);

}  // namespace ingot::agent
