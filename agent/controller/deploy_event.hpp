/// DeployEvent: an event that a machine reported (docs/events.md), read strictly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// What `result` says.
struct DeployResult {
  std::string status;  ///< "succeeded", "failed", "cancelled"
  std::string disk;    ///< "untouched", "unbootable", "unknown", "complete", or ""
  std::string error_code, error_class, error_message, error_advice;
  std::string digest;  ///< "sha256:HEX", or ""
  std::string image_format;
  std::optional<double> seconds;
};

/// What `progress` says; sizes in bytes.
struct DeployProgress {
  std::optional<std::int64_t> received, expected, written, zeroed, verified, virtual_size;
  std::optional<std::int64_t> receive_rate;  ///< bytes a second
  std::optional<std::int64_t> eta_seconds;
  std::optional<double> percent;
};

/// Which members are set depends on `type`; texts are cut to a few KiB.
struct DeployEvent {
  std::string deploy_id;  ///< UUID, in small letters
  std::int64_t seq = 0;
  std::string type;  ///< "started", "phase", "progress", "retry", "note", "result", or a newer one
  std::string time;  ///< RFC 3339, or ""
  std::string image_url, device;        ///< started
  std::string phase;                    ///< phase, progress
  DeployProgress progress;              ///< progress
  std::string reason;                   ///< retry
  std::optional<std::int64_t> attempt;  ///< retry
  std::string note;                     ///< note
  DeployResult result;                  ///< result
};

/// Reads a CloudEvent 1.0 in structured mode, as ingot sends it: specversion "1.0", type
/// "io.ingot.deploy.TYPE.v1", source "urn:uuid:UUID", id a number, and data that says the same
/// (event, deploy_id, seq). Further attributes are passed over.
///
/// Errors: usage.option, which names the attribute and what it should be.
Result<DeployEvent> parse_cloud_event(std::string_view body);

/// Whether two of them say the same, however they are spaced.
[[nodiscard]] bool same_json(const std::string& one, const std::string& other);

/// Whether `text` is a UUID in small letters.
[[nodiscard]] bool is_uuid(std::string_view text) noexcept;

}  // namespace ingot::agent
