#include "agent/controller/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/controller/sqlite.hpp"
#include "agent/controller/store_schema.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

using Mode = SqliteDatabase::Mode;

constexpr std::size_t kMostInTransaction = 256;

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// Resets a statement that is kept, however the function that used it ends.
class Use {
 public:
  explicit Use(SqliteStatement& statement) : statement_(statement) {}
  ~Use() { statement_.reset(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  SqliteStatement* operator->() const { return &statement_; }

 private:
  SqliteStatement& statement_;
};

Result<std::int64_t> one_integer(SqliteDatabase& database, const char* sql) {
  INGOT_TRY_ASSIGN(const auto statement, database.prepare(sql));
  INGOT_TRY_ASSIGN(const bool found, statement->step());
  return found ? statement->integer(0) : 0;
}

StoredDeployment row_of(const SqliteStatement& row) {
  return {.id = row.text(0),
          .machine = row.text(1),
          .request = row.text(2),
          .status = row.text(8),
          .disk = row.text(7),
          .first_event = row.integer(3),
          .begun = row.integer(4),
          .updated = row.integer(5),
          .events = row.integer(6),
          .landmarks = {}};
}

StoredEvent event_of(const SqliteStatement& row) {
  return {.id = row.integer(0),
          .received = row.integer(1),
          .seq = row.integer(2),
          .machine = row.text(3),
          .type = row.text(4),
          .time = row.text(5),
          .body = row.text(6)};
}

}  // namespace

class Store::Impl {
 public:
  explicit Impl(StoreOptions options) : options_(std::move(options)) {}
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    work_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> prepare() {
    INGOT_TRY(take_lock());
    INGOT_TRY_ASSIGN(database_, SqliteDatabase::open(options_.path, Mode::read_write));
    INGOT_TRY(prepare_file());
    INGOT_TRY_ASSIGN(insert_, database_->prepare(kInsertEvent));
    INGOT_TRY_ASSIGN(count_, database_->prepare(kCountEvent));
    INGOT_TRY_ASSIGN(owner_, database_->prepare("SELECT machine FROM deployments WHERE id = ?1"));
    INGOT_TRY_ASSIGN(
        same_, database_->prepare("SELECT body, id FROM events WHERE deploy_id = ?1 AND seq = ?2"));
    INGOT_TRY_ASSIGN(order_, database_->prepare("INSERT INTO orders (machine, kind, time) "
                                                "VALUES (?1, 'reinstall', ?2)"));
    INGOT_TRY_ASSIGN(count_orders_,
                     database_->prepare("SELECT count(*) FROM orders WHERE machine = ?1"));
    INGOT_TRY_ASSIGN(reader_, SqliteDatabase::open(options_.path, Mode::read_only));
    thread_ = std::thread([this] { run(); });
    return {};
  }

  bool append(NewEvent event, OnAppended on_appended) {
    {
      const std::lock_guard lock(mutex_);
      if (ending_ || waiting_.size() >= options_.most_waiting) return false;
      waiting_.push_back({std::move(event), std::move(on_appended)});
    }
    work_.notify_one();
    return true;
  }

  Result<std::int64_t> order_reinstall(const std::string& machine) {
    const std::lock_guard lock(writing_);
    INGOT_TRY(database_->execute("PRAGMA synchronous = FULL"));
    const Use order(*order_);
    order->bind(1, machine).bind(2, now_ms());
    INGOT_TRY(order->step());
    const Use count(*count_orders_);
    count->bind(1, machine);
    INGOT_TRY(count->step());
    return count->integer(0);
  }

  // --- Reads -------------------------------------------------------------------------------------

  template <class Take>
  Result<void> read(const std::string& sql, const std::function<void(SqliteStatement&)>& bind,
                    const Take& take) {
    INGOT_TRY_ASSIGN(const auto statement, reader_->prepare(sql.c_str()));
    bind(*statement);
    for (;;) {
      INGOT_TRY_ASSIGN(const bool found, statement->step());
      if (!found || !take(*statement)) return {};
    }
  }

  Result<std::vector<StoredDeployment>> find_deployments(
      const std::string& where, const std::function<void(SqliteStatement&)>& bind) {
    std::vector<StoredDeployment> found;
    INGOT_TRY(read(kDeploymentColumns + where, bind, [&found](const SqliteStatement& row) {
      found.push_back(row_of(row));
      return true;
    }));
    for (auto& deployment : found)
      INGOT_TRY(read(
          kLandmarks, [&](SqliteStatement& landmarks) { landmarks.bind(1, deployment.id); },
          [&deployment](const SqliteStatement& row) {
            deployment.landmarks.push_back(event_of(row));
            return true;
          }));
    return found;
  }

  std::mutex& reading() { return reading_; }

 private:
  struct Waiting {
    NewEvent event;
    OnAppended on_appended;
  };

  // Two controllers with one file would each believe to know what is in it. A file of its own: to
  // close any descriptor of the database ends SQLite's locks on it (fcntl(2)).
  Result<void> take_lock() {
    const std::string path = options_.path + ".lock";
    lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_)
      return tl::unexpected(system_error(Errc::usage_option, "opening " + path, errno,
                                         "name a file in a directory that this user may write to"));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
      return tl::unexpected(errno == EWOULDBLOCK
                                ? Error(Errc::usage_option, "another ingot-controller uses it",
                                        "end that one, or name another file")
                                : system_error(Errc::usage_option, "locking " + path, errno));
    return {};
  }

  Result<void> prepare_file() {
    INGOT_TRY_ASSIGN(const auto version, one_integer(*database_, "PRAGMA user_version"));
    if (version > kSchemaVersion)
      return fail(
          Errc::usage_option,
          fmt::format("it is of version {}, and this program knows {}", version, kSchemaVersion),
          "use the version of ingot-controller that made it, or name another file");
    INGOT_TRY(
        database_->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                           "PRAGMA journal_size_limit = 16777216"));
    INGOT_TRY(check_integrity());
    INGOT_TRY(database_->execute("BEGIN IMMEDIATE"));
    const auto made = make_tables(version);
    if (!made) {
      static_cast<void>(database_->execute("ROLLBACK"));
      return made;
    }
    return database_->execute("COMMIT");
  }

  Result<void> make_tables(std::int64_t version) {
    INGOT_TRY(database_->execute(kCreateEvents));
    INGOT_TRY(database_->execute(kCreateDeployments));
    INGOT_TRY_ASSIGN(
        const auto missing,
        one_integer(*database_,
                    "SELECT (SELECT coalesce(max(last_event), 0) FROM deployments) <> (SELECT "
                    "coalesce(max(id), 0) FROM events) OR (SELECT coalesce(sum(events), 0) FROM "
                    "deployments) <> (SELECT count(*) FROM events)"));
    if (missing != 0) {
      if (options_.on_warning)
        options_.on_warning(
            fmt::format("the state file {}: the table of deployments is made anew from the events",
                        options_.path));
      INGOT_TRY(database_->execute(kRebuildDeployments));
      INGOT_TRY(database_->execute(kCreateDeployments));
      INGOT_TRY(database_->execute(kFillDeployments));
    }
    // It would be written even where it is the same, and a full disk must not keep what is known
    // from being served.
    if (version == kSchemaVersion) return {};
    return database_->execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
  }

  Result<void> check_integrity() {
    INGOT_TRY_ASSIGN(const auto check, database_->prepare("PRAGMA quick_check(1)"));
    INGOT_TRY_ASSIGN(const bool found, check->step());
    const std::string verdict = found ? check->text(0) : "no answer";
    if (verdict != "ok")
      return fail(
          Errc::usage_option, "it is damaged: " + verdict,
          "save what can be saved (`sqlite3 FILE .recover`), or move it away: a new one is "
          "made, and no machine counts as installed: each one that asks is installed again");
    return {};
  }

  // --- Writing -----------------------------------------------------------------------------------

  void run() {
    std::vector<Waiting> batch;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
        if (waiting_.empty()) return;  // and ending: what was taken is written
        while (!waiting_.empty() && batch.size() < kMostInTransaction) {
          batch.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
      }
      write(batch);
      batch.clear();
    }
  }

  void write(const std::vector<Waiting>& batch) {
    std::vector<Appended> outcomes;
    const auto written = write_all(batch, outcomes);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!batch[i].on_appended) continue;
      if (written)
        batch[i].on_appended(outcomes[i]);
      else
        batch[i].on_appended(tl::unexpected(written.error()));
    }
  }

  Result<void> write_all(const std::vector<Waiting>& batch, std::vector<Appended>& outcomes) {
    const std::lock_guard lock(writing_);
    bool durable = false;
    for (const Waiting& one : batch) durable = durable || one.event.type == "result";
    INGOT_TRY(
        database_->execute(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
    INGOT_TRY(database_->execute("BEGIN IMMEDIATE"));
    auto written = [&]() -> Result<void> {
      for (const Waiting& one : batch) {
        INGOT_TRY_ASSIGN(const Appended outcome, write_one(one.event));
        outcomes.push_back(outcome);
      }
      return database_->execute("COMMIT");
    }();
    // SQLite may have rolled back by itself (SQLITE_FULL, SQLITE_IOERR).
    if (!written && database_->in_transaction()) static_cast<void>(database_->execute("ROLLBACK"));
    return written;
  }

  Result<Appended> write_one(const NewEvent& event) {
    const std::int64_t received = now_ms();
    bool known = false;
    {
      const Use owner(*owner_);
      owner->bind(1, event.deploy_id);
      INGOT_TRY_ASSIGN(known, owner->step());
      if (known && owner->text(0) != event.machine)
        return Appended{.outcome = Appended::Outcome::other_machine};
    }
    std::int64_t id = 0;
    {
      const Use insert(*insert_);
      insert->bind(1, event.deploy_id).bind(2, event.seq).bind(3, event.machine);
      insert->bind(4, event.type).bind(5, event.time).bind(6, received).bind(7, event.request);
      insert->bind(8, event.status).bind(9, event.disk).bind(10, event.body);
      INGOT_TRY_ASSIGN(const bool inserted, insert->step());
      if (inserted) {
        id = insert->integer(0);
        INGOT_TRY(insert->step());  // to its end
      }
    }
    if (id == 0) return compare(event);
    const Use count(*count_);
    count->bind(1, event.deploy_id).bind(2, event.machine).bind(3, event.request).bind(4, id);
    count->bind(5, received).bind(6, event.type).bind(7, event.seq);
    count->bind(8, event.status).bind(9, event.disk);
    INGOT_TRY(count->step());
    return Appended{
        .outcome = Appended::Outcome::stored, .first = !known, .id = id, .received = received};
  }

  Result<Appended> compare(const NewEvent& event) {
    const Use same(*same_);
    same->bind(1, event.deploy_id).bind(2, event.seq);
    INGOT_TRY(same->step());
    const std::string before = same->text(0);
    const bool equal =
        before == event.body || (options_.same_body && options_.same_body(before, event.body));
    return Appended{.outcome = equal ? Appended::Outcome::duplicate : Appended::Outcome::conflict,
                    .id = same->integer(1)};
  }

  const StoreOptions options_;
  UniqueFd lock_;

  std::mutex mutex_;  // of these three
  std::condition_variable work_;
  std::deque<Waiting> waiting_;
  bool ending_ = false;

  std::mutex writing_;  // of these
  std::unique_ptr<SqliteDatabase> database_;
  std::unique_ptr<SqliteStatement> insert_, count_, owner_, same_, order_, count_orders_;

  std::mutex reading_;  // of this
  std::unique_ptr<SqliteDatabase> reader_;

  std::thread thread_;
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  const std::string context = "--state " + options.path;
  auto impl = std::make_unique<Impl>(std::move(options));
  const auto prepared = impl->prepare();
  if (!prepared)
    return fail(Errc::usage_option, context + ": " + prepared.error().message(),
                prepared.error().advice());
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

bool Store::append(NewEvent event, OnAppended on_appended) {
  return impl_->append(std::move(event), std::move(on_appended));
}

Result<std::int64_t> Store::order_reinstall(const std::string& machine) {
  return impl_->order_reinstall(machine);
}

Result<Store::MachineRecord> Store::machine(const std::string& name) {
  const std::lock_guard lock(impl_->reading());
  const auto by_name = [&name](SqliteStatement& statement) { statement.bind(1, name); };
  MachineRecord record;
  INGOT_TRY(impl_->read("SELECT count(*) FROM orders WHERE machine = ?1", by_name,
                        [&record](const SqliteStatement& row) {
                          record.reinstalls = row.integer(0);
                          return true;
                        }));
  INGOT_TRY_ASSIGN(auto last, impl_->find_deployments(
                                  "WHERE machine = ?1 ORDER BY first_event DESC LIMIT 1", by_name));
  if (last.empty()) return record;
  record.last = std::move(last.front());
  // What left the disk alone says nothing about it.
  const auto disk_of = [&](std::int64_t before, std::string& into) {
    return impl_->read(
        "SELECT request, disk FROM deployments WHERE machine = ?1 AND disk <> 'untouched' AND "
        "first_event < ?2 ORDER BY first_event DESC LIMIT 1",
        [&](SqliteStatement& statement) { statement.bind(1, name).bind(2, before); },
        [&into](const SqliteStatement& row) {
          if (row.text(1) == "complete") into = row.text(0);
          return true;
        });
  };
  INGOT_TRY(disk_of(record.last->first_event, record.installed_before));
  INGOT_TRY(disk_of(INT64_MAX, record.installed));
  return record;
}

Result<std::vector<StoredDeployment>> Store::deployments(const std::string& machine,
                                                         std::int64_t before, std::size_t limit) {
  const std::lock_guard lock(impl_->reading());
  return impl_->find_deployments(
      "WHERE machine = ?1 AND first_event < ?2 ORDER BY first_event DESC LIMIT ?3",
      [&](SqliteStatement& statement) {
        statement.bind(1, machine).bind(2, before).bind(3, static_cast<std::int64_t>(limit));
      });
}

Result<std::optional<StoredDeployment>> Store::deployment(const std::string& id) {
  const std::lock_guard lock(impl_->reading());
  INGOT_TRY_ASSIGN(auto found, impl_->find_deployments(
                                   "WHERE id = ?1", [&](SqliteStatement& by) { by.bind(1, id); }));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::vector<StoredEvent>> Store::events(const std::string& deploy_id, std::int64_t after,
                                               std::size_t limit, std::size_t most_bytes) {
  const std::lock_guard lock(impl_->reading());
  std::vector<StoredEvent> found;
  std::size_t bytes = 0;
  INGOT_TRY(impl_->read(
      "SELECT id, received, seq, machine, type, time, body FROM events WHERE deploy_id = ?1 AND "
      "seq > ?2 ORDER BY seq LIMIT ?3",
      [&](SqliteStatement& statement) {
        statement.bind(1, deploy_id).bind(2, after).bind(3, static_cast<std::int64_t>(limit));
      },
      [&](const SqliteStatement& row) {
        found.push_back(event_of(row));
        bytes += found.back().body.size();
        return bytes < most_bytes;
      }));
  return found;
}

Result<Store::Totals> Store::totals() {
  const std::lock_guard lock(impl_->reading());
  Totals totals;
  INGOT_TRY(impl_->read(
      "SELECT coalesce(sum(events), 0) FROM deployments", [](SqliteStatement&) {},
      [&totals](const SqliteStatement& row) {
        totals.events = row.integer(0);
        return true;
      }));
  INGOT_TRY(impl_->read(
      "SELECT s, count(*) FROM (SELECT CASE WHEN status <> '' THEN status WHEN EXISTS (SELECT 1 "
      "FROM deployments AS later WHERE later.machine = d.machine AND later.first_event > "
      "d.first_event) THEN 'lost' ELSE 'running' END AS s FROM deployments AS d) GROUP BY s",
      [](SqliteStatement&) {},
      [&totals](const SqliteStatement& row) {
        const std::string status = row.text(0);
        for (const auto& [name, into] :
             {std::pair<const char*, std::int64_t*>{"running", &totals.running},
              {"succeeded", &totals.succeeded},
              {"failed", &totals.failed},
              {"cancelled", &totals.cancelled},
              {"lost", &totals.lost}})
          if (status == name) *into = row.integer(1);
        return true;
      }));
  return totals;
}

}  // namespace ingot::agent
