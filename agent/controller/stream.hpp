/// EventStream: one page's live view of the fleet, as server-sent events (WHATWG HTML).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/controller/fleet.hpp"
#include "agent/controller/site.hpp"

namespace ingot::agent {

/// What a client is sent:
///   event: fleet     data {"machines": [NAME…], "problem": TEXT|null}: at first, and whenever
///                    machines or manifests change; what is not named is gone
///   event: machine   data: the machine as in /v1/machines, with an id: at first each, then those
///                    that changed
///   event: osimages  data {}: the OSImages changed: ask for them again
///   : a comment      when nothing else was sent for a while
/// A client that comes back with the id that it saw last gets what changed since, if this is the
/// same process still; else everything.
///
/// Memory  nothing waits for a client: what changed is looked up when it has taken what it was sent
///         before, so that a slow one gets fewer states and never old ones.
class EventStream {
 public:
  using Clock = std::chrono::steady_clock;

  /// `last_event_id` is the client's, or "". The others outlive the stream. `process` is another
  /// text for each process.
  EventStream(const Fleet& fleet, const LiveSite& site, std::string process,
              std::string_view last_event_id);

  /// What is to be sent now; "" is nothing. Bounded; does not block.
  [[nodiscard]] std::string next(Clock::time_point now);

 private:
  const Fleet& fleet_;
  const LiveSite& site_;
  const std::string process_;
  std::uint64_t change_ = 0, members_ = 0, version_ = 0;
  bool begun_ = false;
  Clock::time_point looked_{}, sent_{};
};

}  // namespace ingot::agent
