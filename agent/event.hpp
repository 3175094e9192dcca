/// Events: what a machine is told about a job, one JSON object each (docs/events.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/progress_view.hpp"
#include "disk/core/error.hpp"
#include "disk/erase/erase.hpp"
#include "disk/table/finish_disk.hpp"
#include "imaging/stream_image.hpp"

namespace ingot::agent {

/// An event before it is numbered: each stream of events numbers its own, without gaps.
struct Event {
  std::string type;     ///< "started", "phase", "progress", "retry", "note", "result"
  std::string members;  ///< its own members as JSON: `"phase":"write","percent":7.5`
  std::chrono::system_clock::time_point time;

  [[nodiscard]] bool progress() const { return type == "progress"; }
  [[nodiscard]] bool terminal() const { return type == "result"; }
};

/// What became of the target.
enum class DiskState {
  untouched,   ///< nothing was written to it
  unbootable,  ///< written in part; its first and last MiB are zeros
  unknown,     ///< written in part, and zeroing those failed
  complete,    ///< verified and committed
};
[[nodiscard]] std::string_view name(DiskState state) noexcept;

/// What `ingot erase` did, or with --dry-run would have done.
struct ErasedDisk {
  disk::EraseMethod method = disk::EraseMethod::metadata;
  std::string how;     ///< of a secure erase, else ""
  disk::Survey found;  ///< what was on the disk
};

/// How a job ended.
struct JobResult {
  std::optional<Error> error;                     ///< nothing: succeeded
  std::optional<imaging::ImageOutcome> outcome;   ///< what was streamed, if all of it was
  std::optional<disk::FinishedDisk> finished;     ///< its table, if that was finished
  std::optional<ErasedDisk> erased;               ///< `ingot erase`
  bool verified = false;                          ///< there was a checksum to compare with
  std::optional<std::uint64_t> first_difference;  ///< `ingot verify`: byte of the disk
  ProgressSnapshot progress;
  DiskState disk = DiskState::untouched;
  double seconds = 0;
  std::uint64_t peak_rss = 0;  ///< bytes

  /// "succeeded", "failed", "cancelled".
  [[nodiscard]] std::string_view status() const;
};

// `image_url` is redacted by these; other text must hold no secrets.
Event started_event(std::string_view image_url, std::string_view device, bool dry_run);
/// Of `ingot erase`, which has no image.
Event started_erase_event(std::string_view method, std::string_view device, bool dry_run);
Event phase_event(Phase phase);
Event progress_event(const ProgressSnapshot& progress);
Event retry_event(int attempt, std::string_view reason, std::uint64_t resume_offset);
Event note_event(std::string_view text);
Event result_event(const JobResult& result);

/// A random UUID (version 4), from the kernel's random numbers.
[[nodiscard]] std::string random_uuid();

/// "2026-01-31T23:59:59.123Z".
[[nodiscard]] std::string rfc3339(std::chrono::system_clock::time_point time);

/// The event as a JSON object on one line, without a line end.
[[nodiscard]] std::string to_json(const Event& event, std::uint64_t seq,
                                  std::string_view deploy_id);

/// The same as a CloudEvent 1.0 in structured mode, with the object above as its data.
[[nodiscard]] std::string to_cloud_event(const Event& event, std::uint64_t seq,
                                         std::string_view deploy_id);

}  // namespace ingot::agent
