/// CommandTable: the commands that the agent knows, those that it ran, and the one that runs.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tl/expected.hpp>

#include "agent/ironic/agent_error.hpp"

namespace boost::json {
class object;
}  // namespace boost::json

namespace ingot::agent {

/// What a command returned, as JSON text; or why it failed.
using CommandOutcome = tl::expected<std::string, AgentError>;

/// One command of the protocol.
struct Command {
  enum class Kind {
    synchronous,   ///< the request waits for its end
    asynchronous,  ///< runs on a thread of its own; a heartbeat tells its end
  };
  Kind kind = Kind::synchronous;
  /// Runs it. `stop` is requested when the agent ends. May throw: that is a failure.
  std::function<CommandOutcome(const boost::json::object& params, const std::stop_token& stop)> run;
  /// Checks parameters before anything is begun; may be empty. What it returns is no result but
  /// the answer's HTTP error.
  std::function<std::optional<AgentError>(const boost::json::object& params)> check{};
  /// What is kept of the result for those who list commands later; empty: all of it.
  std::function<std::string(const std::string& result)> keep{};
};

enum class CommandStatus { running, succeeded, failed, version_mismatch };

/// A command that was begun. Copies are cheap enough: results are small.
struct CommandRecord {
  std::string id;    ///< UUID
  std::string name;  ///< without the extension: what the conductor looks for
  CommandStatus status = CommandStatus::running;
  std::optional<AgentError> error;  ///< of the last two
  std::string result = "null";      ///< JSON text
};

/// The record as the conductor reads it: an object of five members, in JSON. `progress` (an object
/// in JSON, or "") stands in the result of a running command.
[[nodiscard]] std::string to_json(const CommandRecord& record, const std::string& progress);

/// Begins one command at a time and remembers all of them.
///
/// Busy     while the newest record runs, every other command is refused; a refused command leaves
///          no record.
/// Threads  execute() by one at a time (a second caller waits); the rest by any. An asynchronous
///          command has a thread of the table's, which finish() or the destructor stops
///          and joins.
class CommandTable {
 public:
  /// What others do when an asynchronous command begins and ends.
  struct Observer {
    /// Before it begins, with the record as it will stand then. An error keeps it from beginning,
    /// and is the answer's.
    std::function<Result<void>(const CommandRecord&)> on_begin{};
    /// When it has ended and its record says so.
    std::function<void(const CommandRecord&)> on_end{};
  };
  explicit CommandTable(Observer observer);
  ~CommandTable();
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  /// `name` is "EXTENSION.COMMAND". Before the first execute().
  void add(const std::string& name, Command command);

  /// Puts in a command of a process before this one. Before the first execute().
  void restore(CommandRecord record);

  /// Runs or begins a command and returns its record: of a synchronous one with its end. Errors
  /// are the answer's, not a record's: InvalidCommandError, NotFound, AgentIsBusy, and check()'s.
  tl::expected<CommandRecord, AgentError> execute(const std::string& name,
                                                  boost::json::object params);

  /// In the order in which they were begun.
  [[nodiscard]] std::deque<CommandRecord> records() const;
  [[nodiscard]] std::optional<CommandRecord> find(std::string_view id) const;
  /// Has the running command stop, waits for its end, and begins no further one. Not to be called
  /// by a command, nor while another thread may be in execute().
  void finish();

 private:
  void remember(const CommandRecord& record);
  CommandRecord end(const std::string& id, const Command& command, const CommandOutcome& outcome);

  const Observer observer_;
  std::map<std::string, Command, std::less<>> commands_;
  std::mutex executing_;
  mutable std::mutex mutex_;  // the records
  std::deque<CommandRecord> records_;
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace ingot::agent
