#include "agent/controller/metrics.hpp"

#include <fmt/format.h>

#include <map>

#include "agent/report/metrics_text.hpp"

namespace ingot::agent {
namespace {

// The phases that docs/events.md knows; whatever else a machine says is one more, and not a label
// each.
std::string phase_of(const MachineState& state) {
  if (!state.last) return "idle";
  if (state.last->status != "running") return state.last->status;
  for (const char* phase :
       {"connect", "write", "flush", "verify", "config-drive", "commit", "done"})
    if (state.last->phase == phase) return phase;
  return state.last->phase.empty() ? "started" : "other";
}

}  // namespace

void Metrics::count_request(std::string_view route, unsigned status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{std::string(route), status}];
}

void Metrics::count_event(Event what, std::size_t bytes) {
  ++events_.at(static_cast<std::size_t>(what));
  if (what == Event::stored) event_bytes_ += bytes;
}

std::string Metrics::text(const Fleet& fleet, const LiveSite::View& site,
                          const Store::Totals& totals) const {
  MetricsText text;
  std::map<std::string, int> phases;
  std::uint64_t received = 0, rate = 0;  // unsigned: machines say what they want
  int unresolved = 0;
  for (const MachineState& state : fleet.all()) {
    ++phases[phase_of(state)];
    if (!state.last || state.last->status != "running") continue;
    const auto& progress = state.last->progress;
    received += static_cast<std::uint64_t>(progress.received.value_or(0));
    rate += static_cast<std::uint64_t>(progress.receive_rate.value_or(0));
  }
  for (const auto& [name, plan] : site.site->plans) unresolved += plan.request ? 0 : 1;
  text.family("ingot_controller_machines", "gauge",
              "Machines by the phase of their last deployment, or how it ended");
  for (const auto& [phase, count] : phases)
    text.value(count, "phase=" + MetricsText::quoted(phase));
  text.family("ingot_controller_machines_unresolved", "gauge",
              "Machines whose manifests do not say what they are to become");
  text.value(unresolved);
  text.family("ingot_controller_manifests_valid", "gauge",
              "Whether the manifests as they are now are those in use");
  text.value(site.problem.empty() ? 1 : 0);
  text.family("ingot_controller_osimages", "gauge", "OSImages in the catalog");
  text.value(site.site->images.size());
  text.family("ingot_deployments_total", "counter", "Deployments that ended, by how");
  text.value(totals.succeeded, "status=\"succeeded\"");
  text.value(totals.failed, "status=\"failed\"");
  text.value(totals.cancelled, "status=\"cancelled\"");
  text.value(totals.lost, "status=\"lost\"");
  text.family("ingot_deployments_running", "gauge", "Deployments that have not ended");
  text.value(totals.running);
  text.family("ingot_deployments_received_bytes", "gauge",
              "Bytes of images that the running deployments have received");
  text.value(received);
  text.family("ingot_deployments_receive_rate_bytes", "gauge",
              "Bytes a second that the running deployments receive");
  text.value(rate);
  text.family("ingot_controller_events_stored", "gauge", "Events in the state file");
  text.value(totals.events);
  text.family("ingot_controller_events_total", "counter",
              "Events that came in since the start, by what became of them");
  constexpr std::array kNames{"stored", "duplicate", "conflict", "refused", "unavailable"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    text.value(events_.at(i).load(), fmt::format("outcome=\"{}\"", kNames.at(i)));
  text.family("ingot_controller_event_bytes_total", "counter",
              "Bytes of the events that were stored since the start");
  text.value(event_bytes_.load());
  text.family("ingot_controller_streams", "gauge", "Open event streams");
  text.value(streams_.load());
  text.family("ingot_controller_http_requests_total", "counter",
              "Requests since the start, by route and status");
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : requests_)
    text.value(count, fmt::format("route=\"{}\",code=\"{}\"", key.first, key.second));
  return text.take();
}

}  // namespace ingot::agent
