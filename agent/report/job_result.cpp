#include "agent/report/job_result.hpp"

namespace ingot::agent {

std::string_view name(DiskState state) noexcept {
  switch (state) {
    case DiskState::untouched:
      return "untouched";
    case DiskState::unbootable:
      return "unbootable";
    case DiskState::unknown:
      return "unknown";
    case DiskState::complete:
      return "complete";
  }
  return "unknown";
}

std::string_view JobResult::status() const {
  if (!error) return "succeeded";
  return error->cls() == ErrorClass::cancelled ? "cancelled" : "failed";
}

}  // namespace ingot::agent
