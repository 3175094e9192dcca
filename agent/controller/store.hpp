/// Store: what machines reported, kept for good in one SQLite file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// An event as a machine sent it, with what has to be known of it to find it again.
struct NewEvent {
  std::string deploy_id;  ///< UUID, in small letters
  std::int64_t seq = 0;
  std::string machine;
  std::string type;      ///< "progress"
  std::string time;      ///< the machine's, RFC 3339
  std::string request;   ///< which deploy request it belongs to, or ""
  std::string body;      ///< the CloudEvent, as it came
  std::string status{};  ///< of a result: "succeeded", "failed", "cancelled"
  std::string disk{};    ///< of a result: "untouched", "complete", …
};

struct StoredEvent {
  std::int64_t id = 0;        ///< rises with each event that is stored
  std::int64_t received = 0;  ///< Unix time, ms
  std::int64_t seq = 0;
  std::string machine, type, time, body;
};

/// A deployment: all events of one deploy_id.
struct StoredDeployment {
  std::string id, machine, request;
  std::string status;  ///< "running", "succeeded", "failed", "cancelled"; "lost": it never ended
                       ///< and its machine began another one
  std::string disk;    ///< as its result says; "" without one
  std::int64_t first_event = 0;         ///< an event's id
  std::int64_t begun = 0, updated = 0;  ///< when its first and last event were received
  std::int64_t events = 0;
  /// Those that tell where it stands: the last of each type, in the order of `seq`.
  std::vector<StoredEvent> landmarks;
};

/// What became of an event.
struct Appended {
  enum class Outcome {
    stored,
    duplicate,      ///< the same one was stored before
    conflict,       ///< another one was stored under its number
    other_machine,  ///< its deployment is another machine's
  };
  Outcome outcome = Outcome::stored;
  bool first = false;         ///< if stored: its deployment had none before
  std::int64_t id = 0;        ///< if stored
  std::int64_t received = 0;  ///< if stored
};

struct StoreOptions {
  std::string path;
  std::size_t most_waiting = 4096;  ///< events in memory that are not yet committed
  /// Whether two bodies that differ as text say the same.
  std::function<bool(const std::string&, const std::string&)> same_body{};
  std::function<void(const std::string&)> on_warning{};
};

/// Append-only: events are never changed or deleted, which triggers in the file see to. All else in
/// the file is derived from them and made anew where it is missing.
///
/// Durability  an event is told to be stored after its transaction is committed. Then it survives
///             the end of the process however it comes; a result and an order survive a loss of
///             power as well (SQLite's synchronous=FULL), others up to the last checkpoint.
/// Threads     one of its own writes, many events in a transaction. Reads may come from any thread.
/// Memory      `most_waiting` events; what is read is bounded by the caller's limits.
/// A full disk is an error for each event that does not fit, and over as soon as there is room.
class Store {
 public:
  /// Called on the store's thread, in the order of the events' ids, before the next are written.
  using OnAppended = std::function<void(const Result<Appended>&)>;

  /// Opens or makes the file; it is for one process alone. Errors: usage.option naming the file: it
  /// cannot be used, is damaged, in use, or of a newer version.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Takes an event for writing. False: too many wait.
  bool append(NewEvent event, OnAppended on_appended);
  /// Writes down that somebody wants `machine` to be installed again, and returns how often that
  /// was. Errors: write.io.
  Result<std::int64_t> order_reinstall(const std::string& machine);

  // Reads. Errors: write.io.

  struct MachineRecord {
    std::int64_t reinstalls = 0;  ///< how often that was ordered
    /// Which request made what is on its disk; "": none, or a deployment left the disk undone.
    std::string installed;
    std::string installed_before;  ///< the same, without the last deployment
    std::optional<StoredDeployment> last;
  };
  Result<MachineRecord> machine(const std::string& name);
  /// Newest first, at most `limit`; those that began before the event `before`.
  Result<std::vector<StoredDeployment>> deployments(const std::string& machine, std::int64_t before,
                                                    std::size_t limit);
  Result<std::optional<StoredDeployment>> deployment(const std::string& id);
  /// Those with a seq above `after`, by seq, at most `limit` and about `most_bytes` of bodies.
  Result<std::vector<StoredEvent>> events(const std::string& deploy_id, std::int64_t after,
                                          std::size_t limit, std::size_t most_bytes);
  struct Totals {
    std::int64_t events = 0;
    std::int64_t running = 0, succeeded = 0, failed = 0, cancelled = 0, lost = 0;
  };
  Result<Totals> totals();

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::agent
