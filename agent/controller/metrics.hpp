/// Metrics: what the controller counts, as Prometheus reads it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "agent/controller/fleet.hpp"
#include "agent/controller/site.hpp"
#include "agent/controller/store.hpp"

namespace ingot::agent {

/// Any thread.
class Metrics {
 public:
  enum class Event { stored, duplicate, conflict, refused, unavailable };

  /// A request that was answered; `route` is one of a few names.
  void count_request(std::string_view route, unsigned status);
  void count_event(Event what, std::size_t bytes);
  void stream_begins() { ++streams_; }
  void stream_ends() { --streams_; }
  [[nodiscard]] int streams() const { return streams_; }

  /// The text format 0.0.4.
  [[nodiscard]] std::string text(const Fleet& fleet, const LiveSite::View& site,
                                 const Store::Totals& totals) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, unsigned>, std::uint64_t> requests_;
  std::array<std::atomic<std::uint64_t>, 5> events_{};
  std::atomic<std::uint64_t> event_bytes_ = 0;
  std::atomic<int> streams_ = 0;
};

}  // namespace ingot::agent
