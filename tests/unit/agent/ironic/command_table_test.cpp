// Commands: one at a time, and all of them remembered.
#include "agent/ironic/command_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <latch>
#include <regex>
#include <stdexcept>

#include "agent/text/json_object.hpp"
#include "tests/unit/agent/ironic/waiting.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::eventually;
using Kind = Command::Kind;

class Commands : public testing::Test {
 protected:
  Commands() {
    table_.add("x.sync", {.run = [](const json::object& params, const std::stop_token&) {
                 return CommandOutcome(json::serialize(params));
               }});
    table_.add("x.fails", {.run = [](const json::object&, const std::stop_token&) {
                 return CommandOutcome(tl::unexpected(failure("CleaningError", "why")));
               }});
    table_.add("x.throws",
               {.run = [](const json::object&, const std::stop_token&) -> CommandOutcome {
                 throw std::runtime_error("thrown");
               }});
    table_.add("x.throws_later",
               {.kind = Kind::asynchronous,
                .run = [](const json::object&, const std::stop_token&) -> CommandOutcome {
                  throw std::runtime_error("thrown");
                }});
    table_.add("x.other_version",
               {.kind = Kind::asynchronous, .run = [](const json::object&, const std::stop_token&) {
                  return CommandOutcome(tl::unexpected(version_mismatch("of yesterday")));
                }});
    table_.add("y.waits", {.kind = Kind::asynchronous,
                           .run = [this](const json::object&, const std::stop_token& stop) {
                             eventually([&] { return released_ || stop.stop_requested(); });
                             if (stop.stop_requested())
                               return CommandOutcome(
                                   tl::unexpected(failure("CommandExecutionError", "stopped")));
                             return CommandOutcome(R"({"done":true})");
                           }});
    table_.add("y.checked", {.kind = Kind::asynchronous,
                             .run =
                                 [this](const json::object&, const std::stop_token&) {
                                   ++ran_;
                                   return CommandOutcome("null");
                                 },
                             .check = [](const json::object& params) -> std::optional<AgentError> {
                               if (params.contains("good")) return std::nullopt;
                               return invalid_parameters("not good");
                             }});
    table_.add(
        "log.large",
        {.run =
             [](const json::object&, const std::stop_token&) {
               return CommandOutcome(R"({"system_logs":"all of it"})");
             },
         .keep = [](const std::string&) { return std::string(R"({"system_logs":"<...>"})"); }});
  }
  CommandRecord ran(const std::string& name, const json::object& params = {}) {
    const auto record = table_.execute(name, params);
    EXPECT_TRUE(record) << name << ": " << record.error().details;
    return record.value_or(CommandRecord{});
  }
  AgentError refused(const std::string& name) {
    const auto record = table_.execute(name, {});
    EXPECT_FALSE(record) << name;
    return record ? AgentError{} : record.error();
  }
  CommandRecord ended(const std::string& id) {
    EXPECT_TRUE(
        eventually([&] { return table_.find(id).value().status != CommandStatus::running; }));
    return table_.find(id).value();
  }

  std::atomic<bool> released_ = false;
  std::atomic<int> ran_ = 0, ends_ = 0;
  std::function<void()> on_end_ = [] {};
  Result<void> begin_ = {};
  std::vector<CommandRecord> begun_, told_;
  CommandTable table_{{.on_begin =
                           [this](const CommandRecord& record) {
                             begun_.push_back(record);
                             return begin_;
                           },
                       .on_end =
                           [this](const CommandRecord& record) {
                             told_.push_back(record);
                             ++ends_;
                             on_end_();
                           }}};
};

TEST_F(Commands, AnObserverKnowsWhatRuns) {
  released_ = true;
  const auto record = ran("y.waits");
  const auto end = ended(record.id);
  ASSERT_TRUE(eventually([&] { return ends_ == 1; }));
  ASSERT_EQ(begun_.size(), 1U);
  EXPECT_EQ(begun_[0].id, record.id);
  EXPECT_EQ(begun_[0].status, CommandStatus::running);
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].id, record.id);
  EXPECT_EQ(told_[0].status, end.status);
}

TEST_F(Commands, OneThatNobodyWouldKnowAfterARestartDoesNotBegin) {
  begin_ = fail(Errc::usage_option, "writing /run/ingot/command.json: No space left on device");
  const auto record = table_.execute("y.waits", {});
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, 500);
  EXPECT_NE(record.error().details.find("No space left"), std::string::npos);
  EXPECT_TRUE(table_.records().empty());
}

TEST_F(Commands, OneOfAProcessBeforeIsListed) {
  table_.restore({"before", "execute_deploy_step", CommandStatus::failed,
                  failure("CommandExecutionError", "it ended"), "null"});
  ASSERT_EQ(table_.records().size(), 1U);
  EXPECT_EQ(table_.find("before").value().status, CommandStatus::failed);
  ran("x.sync");  // what has failed keeps nothing busy
}

TEST_F(Commands, ASynchronousOneIsAnsweredWithItsEnd) {
  const auto record = ran("x.sync", {{"a", 1}});
  EXPECT_EQ(record.name, "sync");
  EXPECT_EQ(record.status, CommandStatus::succeeded);
  EXPECT_EQ(record.result, R"({"a":1})");
  EXPECT_FALSE(record.error);
  EXPECT_EQ(table_.find(record.id).value().result, record.result);
  EXPECT_EQ(ends_, 0) << "no heartbeat for those";
}

TEST_F(Commands, AFailedOneHasARecord) {
  for (const auto* name : {"x.fails", "x.throws"}) {
    const auto record = ran(name);
    EXPECT_EQ(record.status, CommandStatus::failed);
    EXPECT_EQ(record.result, "null");
    ASSERT_TRUE(record.error) << name;
  }
  const auto records = table_.records();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(*records[0].error, failure("CleaningError", "why"));
  EXPECT_EQ(records[1].error->type, "CommandExecutionError");
  EXPECT_NE(records[1].error->details.find("thrown"), std::string::npos);
}

TEST_F(Commands, AnAsynchronousOneRunsByItself) {
  const auto begun = ran("y.waits");
  EXPECT_EQ(begun.name, "waits");
  EXPECT_EQ(begun.status, CommandStatus::running);
  EXPECT_EQ(begun.result, "null");
  EXPECT_EQ(table_.find(begun.id).value().status, CommandStatus::running);
  released_ = true;
  const auto record = ended(begun.id);
  EXPECT_EQ(record.status, CommandStatus::succeeded);
  EXPECT_EQ(record.result, R"({"done":true})");
  EXPECT_TRUE(eventually([&] { return ends_ == 1; }));
}

TEST_F(Commands, AnExceptionOnItsThreadIsAFailure) {
  const auto record = ended(ran("x.throws_later").id);
  EXPECT_EQ(record.status, CommandStatus::failed);
  EXPECT_NE(record.error.value().details.find("thrown"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return ends_ == 1; }));
}

TEST_F(Commands, TheEndIsToldWhenTheRecordSaysSo) {
  std::atomic<bool> said = false;
  on_end_ = [&] { said = table_.records().back().status != CommandStatus::running; };
  released_ = true;
  ran("y.waits");
  EXPECT_TRUE(eventually([&] { return ends_ == 1; }));
  table_.finish();
  EXPECT_TRUE(said);
}

TEST_F(Commands, WhileOneRunsAllOthersAreRefused) {
  const auto begun = ran("y.waits");
  for (const auto* name : {"x.sync", "y.waits", "y.checked", "log.large"}) {
    EXPECT_EQ(refused(name), busy("executing command waits")) << name;
  }
  EXPECT_EQ(table_.records().size(), 1U);
  // What is unknown stays unknown.
  EXPECT_EQ(refused("x.none").code, 400);
  released_ = true;
  ended(begun.id);
  ran("x.sync");
}

TEST_F(Commands, RefusedOnesLeaveNoRecord) {
  EXPECT_EQ(refused("sync"),
            invalid_command("Command name must be of the form <extension>.<name>"));
  EXPECT_EQ(refused("x.frobnicate"), invalid_command("Unknown command: frobnicate"));
  EXPECT_EQ(refused("x.Sync"), invalid_command("Unknown command: Sync"));
  EXPECT_EQ(refused("x."), invalid_command("Unknown command: "));
  EXPECT_EQ(refused("x.sync.more"), invalid_command("Unknown command: sync.more"));
  EXPECT_EQ(refused("foo.sync"), not_found("Extension with id foo not found."));
  EXPECT_EQ(refused("lo.large"), not_found("Extension with id lo not found."));
  EXPECT_EQ(refused("zzz.sync"), not_found("Extension with id zzz not found."));
  EXPECT_EQ(refused("."), not_found("Extension with id  not found."));
  EXPECT_EQ(refused("y.checked"), invalid_parameters("not good"));
  EXPECT_TRUE(table_.records().empty());
  EXPECT_EQ(ran_, 0);
  ended(ran("y.checked", {{"good", true}}).id);
  EXPECT_EQ(ran_, 1);
}

TEST_F(Commands, AreListedInTheirOrder) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(ran(i % 2 == 0 ? "x.sync" : "x.fails").id);
  const auto records = table_.records();
  ASSERT_EQ(records.size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(records[i].id, ids[i]);
  EXPECT_FALSE(table_.find("none"));
  EXPECT_FALSE(table_.find(""));
}

TEST_F(Commands, IdsAreUuids) {
  const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  const auto first = ran("x.sync").id, second = ran("x.sync").id;
  EXPECT_TRUE(std::regex_match(first, uuid)) << first;
  EXPECT_NE(first, second);
}

TEST_F(Commands, OldRecordsGoBeforeMemoryDoes) {
  const auto first = ran("x.sync").id;
  testing::internal::CaptureStderr();
  std::string last;
  for (int i = 0; i < 1100; ++i) last = ran("x.sync").id;
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(table_.records().size(), 1000U);
  EXPECT_EQ(table_.records().back().id, last);
  EXPECT_FALSE(table_.find(first));
}

TEST_F(Commands, OnlyTheOneWhoAskedGetsAllOfALargeResult) {
  const auto record = ran("log.large");
  EXPECT_EQ(record.result, R"({"system_logs":"all of it"})");
  EXPECT_EQ(table_.find(record.id).value().result, R"({"system_logs":"<...>"})");
}

TEST_F(Commands, ASecondOneWaitsForASynchronousOne) {
  std::latch running(1);
  table_.add("x.slow", {.run = [&](const json::object&, const std::stop_token&) {
               running.count_down();
               eventually([&] { return released_.load(); });
               return CommandOutcome("null");
             }});
  std::jthread first([&] { ran("x.slow"); });
  running.wait();
  std::atomic<bool> second_ended = false;
  std::jthread second([&] {
    ran("x.sync");
    second_ended = true;
  });
  EXPECT_TRUE(table_.records().empty()) << "never shown running";
  EXPECT_FALSE(second_ended);
  released_ = true;
  first.join();
  second.join();
  const auto records = table_.records();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].name, "slow");
}

TEST_F(Commands, FinishStopsTheRunningOne) {
  const auto begun = ran("y.waits");
  table_.finish();
  EXPECT_EQ(table_.find(begun.id).value().status, CommandStatus::failed);
  EXPECT_EQ(refused("x.sync").type, "AgentIsBusy") << "none is begun any more";
}

json::object record_json(const CommandRecord& record, const std::string& progress = {}) {
  const auto parsed = parse_json_object(to_json(record, progress));
  EXPECT_TRUE(parsed) << to_json(record, progress);
  return parsed.value_or(json::object());
}

TEST_F(Commands, RecordsAsTheConductorReadsThem) {
  CommandRecord record{"id-1", "sync", CommandStatus::succeeded, std::nullopt, R"({"a":1})"};
  EXPECT_EQ(to_json(record, R"({"percent":5})"),
            R"({"id":"id-1","command_name":"sync","command_status":"SUCCEEDED",)"
            R"("command_error":null,"command_result":{"a":1}})");
  record.status = CommandStatus::running;
  record.result = "null";
  EXPECT_TRUE(record_json(record).at("command_result").is_null());
  EXPECT_EQ(string_in(record_json(record), "command_status"), "RUNNING");
  const auto running = record_json(record, R"({"percent":5})");
  EXPECT_EQ(json::serialize(running.at("command_result")), R"({"progress":{"percent":5}})");
  record.status = CommandStatus::failed;
  record.error = failure("CleaningError", "a \"quoted\" \xff\n text");
  const auto failed = record_json(record);
  EXPECT_EQ(string_in(failed, "command_status"), "FAILED");
  EXPECT_TRUE(failed.at("command_result").is_null());
  const json::object* error = object_in(failed, "command_error");
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->size(), 4U);
  EXPECT_EQ(string_in(*error, "type"), "CleaningError");
  EXPECT_EQ(integer_in(*error, "code"), 500);
  EXPECT_EQ(string_in(*error, "message"), "Clean step failed");
  EXPECT_EQ(string_in(*error, "details"), "a \"quoted\" \uFFFD\n text");
}

TEST_F(Commands, AVersionMismatchHasAStatusOfItsOwn) {
  const auto record = ended(ran("x.other_version").id);
  EXPECT_EQ(record.status, CommandStatus::version_mismatch);
  const auto object = record_json(record);
  EXPECT_EQ(string_in(object, "command_status"), "CLEAN_VERSION_MISMATCH");
  EXPECT_TRUE(object.at("command_result").is_null());
  EXPECT_EQ(integer_in(*object_in(object, "command_error"), "code"), 409);
}

}  // namespace
}  // namespace ingot::agent
