/// Events: what a machine is told about a job, one JSON object each (docs/events.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/report/job_result.hpp"
#include "agent/report/progress_view.hpp"

namespace ingot::agent {

/// An event before it is numbered: each stream of events numbers its own, without gaps.
struct Event {
  std::string type;     ///< "started", "phase", "progress", "retry", "note", "result"
  std::string members;  ///< its own members as JSON: `"phase":"write","percent":7.5`
  std::chrono::system_clock::time_point time;

  [[nodiscard]] bool progress() const { return type == "progress"; }
  [[nodiscard]] bool terminal() const { return type == "result"; }
};

// The image's URL is redacted by these; other text must hold no secrets.
Event started_event(const JobStart& start);
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
