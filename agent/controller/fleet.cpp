#include "agent/controller/fleet.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ingot::agent {
namespace {

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

void apply(Deployment& deployment, const DeployEvent& event, std::int64_t received) {
  deployment.updated = std::max(deployment.updated, received);
  if (event.seq <= deployment.seq) return;
  const bool result = event.type == "result";
  const bool over = !deployment.result.status.empty();
  if (over && !result) return;
  deployment.seq = event.seq;
  if (event.type == "started") {
    deployment.image_url = event.image_url;
    deployment.device = event.device;
  } else if (event.type == "phase") {
    deployment.phase = event.phase;
  } else if (event.type == "progress") {
    deployment.phase = event.phase;
    deployment.progress = event.progress;
  } else if (event.type == "retry") {
    deployment.retries = event.attempt.value_or(deployment.retries + 1);
    deployment.last_retry = event.reason;
  } else if (event.type == "note") {
    deployment.note = event.note;
  } else if (result) {
    deployment.result = event.result;
    deployment.status = event.result.status;
    deployment.disk = event.result.disk;
    deployment.progress.receive_rate.reset();
    deployment.progress.eta_seconds.reset();
    if (event.result.status == "succeeded") deployment.progress.percent = 100;
  }
}

Deployment deployment_from(const StoredDeployment& stored) {
  Deployment deployment;
  deployment.id = stored.id;
  deployment.machine = stored.machine;
  deployment.request = stored.request;
  for (const StoredEvent& landmark : stored.landmarks)
    // What cannot be read was stored by another version.
    if (const auto event = parse_cloud_event(landmark.body))
      apply(deployment, *event, landmark.received);
  deployment.status = stored.status;
  deployment.disk = stored.disk;
  deployment.begun = stored.begun;
  deployment.updated = stored.updated;
  return deployment;
}

Result<void> Fleet::set_machines(const std::vector<std::string>& names, Store& store) {
  // With the lock: an event that is stored meanwhile is taken afterwards, and then either is in
  // what the store said, which counts it once, or comes on top of it.
  const std::lock_guard lock(mutex_);
  std::map<std::string, Entry> next;
  for (const std::string& name : names) {
    if (machines_.contains(name)) continue;
    INGOT_TRY_ASSIGN(auto record, store.machine(name));
    Entry entry;
    entry.state.name = name;
    entry.state.reinstalls = record.reinstalls;
    entry.state.installed = record.installed;
    entry.installed_before = record.installed_before;
    if (record.last) entry.state.last = deployment_from(*record.last);
    next.emplace(name, std::move(entry));
  }
  for (const std::string& name : names)
    if (auto stays = machines_.extract(name); !stays.empty()) next.insert(std::move(stays));
  machines_ = std::move(next);
  ++members_;
  for (auto& [name, entry] : machines_) changed(entry);
  return {};
}

void Fleet::take(const std::string& machine, const std::string& request, const DeployEvent& event,
                 const Appended& stored) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return;
  MachineState& state = found->second.state;
  if (!state.last || state.last->id != event.deploy_id) {
    if (!stored.first) return;  // of an earlier deployment: late
    found->second.installed_before = state.installed;
    state.installed.clear();
    state.last.emplace();
    state.last->id = event.deploy_id;
    state.last->machine = machine;
    state.last->request = request;
    state.last->begun = stored.received;
  }
  Deployment& last = *state.last;
  apply(last, event, stored.received);
  if (event.type == "result") {
    if (last.disk == "complete") state.installed = last.request;
    if (last.disk == "untouched") state.installed = found->second.installed_before;
  }
  changed(found->second);
}

void Fleet::take_reinstall(const std::string& machine, std::int64_t reinstalls) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return;
  found->second.state.reinstalls = std::max(found->second.state.reinstalls, reinstalls);
  changed(found->second);
}

void Fleet::take_question(const std::string& machine, unsigned answered) {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return;
  found->second.state.asked = now_ms();
  found->second.state.answered = answered;
  changed(found->second);
}

bool Fleet::knows(const std::string& machine) const {
  const std::lock_guard lock(mutex_);
  return machines_.contains(machine);
}

std::optional<MachineState> Fleet::find(const std::string& machine) const {
  const std::lock_guard lock(mutex_);
  const auto found = machines_.find(machine);
  if (found == machines_.end()) return std::nullopt;
  return found->second.state;
}

std::vector<MachineState> Fleet::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<MachineState> all;
  all.reserve(machines_.size());
  for (const auto& [name, entry] : machines_) all.push_back(entry.state);
  return all;
}

std::uint64_t Fleet::change() const {
  const std::lock_guard lock(mutex_);
  return change_;
}

Fleet::Changes Fleet::changes(std::uint64_t since, std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<const MachineState*> found;
  for (const auto& [name, entry] : machines_)
    if (entry.state.change > since) found.push_back(&entry.state);
  std::ranges::sort(found, {}, [](const MachineState* state) { return state->change; });
  if (found.size() > most) found.resize(most);
  Changes changes{.machines = {}, .change = since, .members = members_};
  for (const MachineState* state : found) changes.machines.push_back(*state);
  if (!found.empty()) changes.change = found.back()->change;
  return changes;
}

}  // namespace ingot::agent
