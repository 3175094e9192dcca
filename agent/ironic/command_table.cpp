#include "agent/ironic/command_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <exception>
#include <system_error>
#include <utility>

#include "agent/report/event.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

// Far more than a conductor ever looks back; an agent may live for months.
constexpr std::size_t kMostRecords = 1000;

std::string_view name(CommandStatus status) {
  switch (status) {
    case CommandStatus::running:
      return "RUNNING";
    case CommandStatus::succeeded:
      return "SUCCEEDED";
    case CommandStatus::failed:
      return "FAILED";
    case CommandStatus::version_mismatch:
      return "CLEAN_VERSION_MISMATCH";  // for every kind of step
  }
  return "FAILED";
}

std::string in_quotes(std::string_view text) {
  return json::serialize(json::value(utf8(text)));
}

// A command that throws has failed; nothing of it may reach the server or end a thread.
CommandOutcome run(const Command& command, const json::object& params,
                   const std::stop_token& stop) {
  try {
    return command.run(params, stop);
  } catch (const std::exception& error) {
    return tl::unexpected(
        failure("CommandExecutionError", fmt::format("unexpected: {}", error.what())));
  } catch (...) {
    return tl::unexpected(failure("CommandExecutionError", "unexpected: an unknown exception"));
  }
}

}  // namespace

std::string to_json(const CommandRecord& record, const std::string& progress) {
  std::string error = "null";
  if (record.error)
    error = fmt::format(R"({{"type":{},"code":{},"message":{},"details":{}}})",
                        in_quotes(record.error->type), record.error->code,
                        in_quotes(record.error->message), in_quotes(record.error->details));
  const bool running = record.status == CommandStatus::running && !progress.empty();
  return fmt::format(
      R"({{"id":"{}","command_name":{},"command_status":"{}","command_error":{},"command_result":{}}})",
      record.id, in_quotes(record.name), name(record.status), error,
      running ? R"({"progress":)" + progress + '}' : record.result);
}

CommandTable::CommandTable(Observer observer) : observer_(std::move(observer)) {}

CommandTable::~CommandTable() {
  finish();
}

void CommandTable::add(const std::string& name, Command command) {
  commands_.insert_or_assign(name, std::move(command));
}

tl::expected<CommandRecord, AgentError> CommandTable::execute(const std::string& name,
                                                              json::object params) {
  const std::lock_guard one(executing_);
  const auto dot = name.find('.');
  if (dot == std::string::npos)
    return tl::unexpected(invalid_command("Command name must be of the form <extension>.<name>"));
  const std::string extension = name.substr(0, dot + 1), short_name = name.substr(dot + 1);
  const auto known = commands_.find(name);
  if (known == commands_.end()) {
    const auto near = commands_.lower_bound(extension);
    if (near == commands_.end() || !near->first.starts_with(extension))
      return tl::unexpected(
          not_found(fmt::format("Extension with id {} not found.", name.substr(0, dot))));
    return tl::unexpected(invalid_command("Unknown command: " + short_name));
  }
  const Command& command = known->second;
  CommandRecord record{random_uuid(), short_name, CommandStatus::running, std::nullopt, "null"};
  {
    const std::lock_guard lock(mutex_);
    if (!records_.empty() && records_.back().status == CommandStatus::running)
      return tl::unexpected(busy("executing command " + records_.back().name));
    if (stop_.stop_requested()) return tl::unexpected(busy("the agent is stopping"));
  }
  if (command.check)
    if (auto wrong = command.check(params)) return tl::unexpected(*std::move(wrong));
  say(fmt::format("command {} begins", name));
  if (command.kind == Command::Kind::synchronous) {
    // Recorded only at its end, so that lists never show it running.
    const auto outcome = run(command, params, stop_.get_token());
    remember(record);
    return end(record.id, command, outcome);
  }
  if (thread_.joinable()) thread_.join();  // of the last one, which has ended
  if (observer_.on_begin)
    if (auto seen = observer_.on_begin(record); !seen)
      return tl::unexpected(failure("CommandExecutionError", agent_error(seen.error()).details));
  remember(record);
  try {
    thread_ = std::thread([this, id = record.id, &command, params = std::move(params)] {
      const auto ended = end(id, command, run(command, params, stop_.get_token()));
      if (observer_.on_end) observer_.on_end(ended);
    });
  } catch (const std::system_error& error) {
    // Or the agent would be busy with it for good.
    record = end(record.id, command,
                 tl::unexpected(failure("CommandExecutionError",
                                        fmt::format("starting a thread: {}", error.what()))));
    if (observer_.on_end) observer_.on_end(record);
  }
  return record;
}

void CommandTable::remember(const CommandRecord& record) {
  const std::lock_guard lock(mutex_);
  records_.push_back(record);
  if (records_.size() > kMostRecords) records_.pop_front();
}

void CommandTable::restore(CommandRecord record) {
  const std::lock_guard lock(mutex_);
  records_.push_back(std::move(record));
}

// Returns the whole record; the table keeps what is to be kept of it.
CommandRecord CommandTable::end(const std::string& id, const Command& command,
                                const CommandOutcome& outcome) {
  CommandRecord ended;
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find(records_, id, &CommandRecord::id);
    if (at == records_.end()) return ended;
    ended = *at;
    if (outcome) {
      ended.status = CommandStatus::succeeded;
      ended.result = *outcome;
    } else {
      ended.status = outcome.error().type == "VersionMismatch" ? CommandStatus::version_mismatch
                                                               : CommandStatus::failed;
      ended.error = outcome.error();
    }
    *at = ended;
    if (outcome && command.keep) at->result = command.keep(*outcome);
  }
  say(outcome
          ? fmt::format("command {} succeeded", ended.name)
          : fmt::format("command {}: {}: {}", ended.name, ended.error->type, ended.error->details));
  return ended;
}

std::deque<CommandRecord> CommandTable::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

std::optional<CommandRecord> CommandTable::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(records_, id, &CommandRecord::id);
  return at == records_.end() ? std::nullopt : std::optional(*at);
}

void CommandTable::request_stop() {
  stop_.request_stop();
}

void CommandTable::finish() {
  request_stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace ingot::agent
