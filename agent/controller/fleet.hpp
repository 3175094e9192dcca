/// Fleet: where every machine stands, from the events that are stored.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/controller/deploy_event.hpp"
#include "agent/controller/store.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A deployment as its events leave it.
struct Deployment {
  std::string id, machine, request;
  std::string status = "running";       ///< see StoredDeployment::status
  std::string disk;                     ///< as its result says
  std::int64_t begun = 0, updated = 0;  ///< Unix time, ms: its first and last event
  std::int64_t seq = -1;                ///< of the last event that counted
  std::string image_url, device, phase;
  DeployProgress progress;
  std::int64_t retries = 0;  ///< the last attempt's number
  std::string last_retry, note;
  DeployResult result;
};

/// Takes one more event of the deployment into account. One that came late counts for nothing, and
/// after the result only another result does.
void apply(Deployment& deployment, const DeployEvent& event, std::int64_t received);

/// From what the store has of it.
Deployment deployment_from(const StoredDeployment& stored);

/// A machine as it stands.
struct MachineState {
  std::string name;
  std::uint64_t change = 0;  ///< rises with every change of any machine
  std::optional<Deployment> last;
  std::int64_t reinstalls = 0;  ///< how often that was ordered
  std::string installed;        ///< which request made what is on its disk; "": none
  std::int64_t asked = 0;       ///< Unix time, ms: when it last asked what is to be done; 0: never
  unsigned answered = 0;        ///< the status it got
};

/// Of the machines that manifests name, and no others, so that memory is bounded by them. Any
/// thread.
class Fleet {
 public:
  /// The machines there are from now on; what is known of those that stay is kept, and new ones are
  /// looked up in the store. Errors: the store's.
  Result<void> set_machines(const std::vector<std::string>& names, Store& store);

  /// An event that was stored; `first`: its deployment had none before. In the order in which they
  /// were stored.
  void take(const std::string& machine, const std::string& request, const DeployEvent& event,
            const Appended& stored);
  void take_reinstall(const std::string& machine, std::int64_t reinstalls);
  void take_question(const std::string& machine, unsigned answered);

  [[nodiscard]] bool knows(const std::string& machine) const;
  [[nodiscard]] std::optional<MachineState> find(const std::string& machine) const;
  /// All, by name.
  [[nodiscard]] std::vector<MachineState> all() const;
  /// The number of the last change.
  [[nodiscard]] std::uint64_t change() const;

  struct Changes {
    std::vector<MachineState> machines;  ///< in the order of their changes
    std::uint64_t change = 0;            ///< ask again with this one
    std::uint64_t members = 0;           ///< rises when machines come or go
  };
  /// Those that changed after the change `since`, the `most` that changed first.
  [[nodiscard]] Changes changes(std::uint64_t since, std::size_t most) const;

 private:
  struct Entry {
    MachineState state;
    std::string installed_before;  // the last deployment, should that leave the disk alone
  };
  void changed(Entry& entry) { entry.state.change = ++change_; }

  mutable std::mutex mutex_;
  std::map<std::string, Entry> machines_;
  std::uint64_t change_ = 0, members_ = 0;
};

}  // namespace ingot::agent
