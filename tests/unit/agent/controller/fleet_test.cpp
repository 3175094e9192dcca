// Events as machines send them, and what the fleet makes of them.
#include "agent/controller/fleet.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>

#include "tests/unit/agent/controller/controller_rig.hpp"

namespace ingot::agent {
namespace {

using test::cloud_event;
using test::Directory;
using test::kDeployment;
using test::kOtherDeployment;
using testing::HasSubstr;

const std::string kProgress =
    R"(,"phase":"write","bytes_received":10,"bytes_expected":100,"receive_rate":5,"eta_seconds":18,"percent":10)";
const std::string kFailed =
    R"(,"status":"failed","disk_state":"unbootable","error":{"code":"checksum.mismatch","class":"checksum","message":"no","advice":"compare"})";
const std::string kSucceeded =
    R"(,"status":"succeeded","disk_state":"complete","error":null,"digest":{"type":"sha256","value":"ab"},"seconds":1.5)";

TEST(CloudEvent, IsRead) {
  const auto event = parse_cloud_event(cloud_event(kDeployment, 7, "progress", kProgress));
  ASSERT_TRUE(event) << event.error().message();
  EXPECT_EQ(event->deploy_id, kDeployment);
  EXPECT_EQ(event->seq, 7);
  EXPECT_EQ(event->type, "progress");
  EXPECT_EQ(event->progress.received, 10);
  EXPECT_EQ(event->progress.percent, 10.0);
  EXPECT_EQ(event->progress.virtual_size, std::nullopt);
  const auto huge = parse_cloud_event(
      cloud_event(kDeployment, 7, "progress", R"(,"bytes_received":9223372036854775807)"));
  ASSERT_TRUE(huge);
  EXPECT_EQ(huge->progress.received, std::nullopt) << "sums of such have no place";
  EXPECT_TRUE(parse_cloud_event(cloud_event(kDeployment, 7, "newer-type")));
}

TEST(CloudEvent, IsReadStrictly) {
  const std::string good = cloud_event(kDeployment, 7, "note", R"(,"text":"x")");
  const auto with = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto event = parse_cloud_event(text);
    return event ? std::string("taken: ") + text : event.error().message();
  };
  EXPECT_THAT(with("{", "["), HasSubstr("body"));
  EXPECT_THAT(with("\"1.0\"", "\"0.3\""), HasSubstr("specversion"));
  EXPECT_THAT(with("ingot.deploy.note.v1", "ingot.deploy.note.v2"), HasSubstr("type"));
  EXPECT_THAT(with("io.ingot.deploy.note.v1", "io.ingot.deploy..v1"), HasSubstr("type"));
  EXPECT_THAT(with("urn:uuid:0b7c", "urn:uuid:0B7C"), HasSubstr("source"));
  EXPECT_THAT(with("urn:uuid:0b7c", "0b7c"), HasSubstr("source"));
  EXPECT_THAT(with("\"id\":\"7\"", "\"id\":\"07\""), HasSubstr("id"));
  EXPECT_THAT(with("\"id\":\"7\"", "\"id\":7"), HasSubstr("id"));
  EXPECT_THAT(with("\"id\":\"7\"", "\"id\":\"9007199254740992\""), HasSubstr("id"));
  EXPECT_THAT(with("application/json", "text/plain"), HasSubstr("datacontenttype"));
  EXPECT_THAT(with("2026-01-31T", "yesterday "), HasSubstr("time"));
  EXPECT_THAT(with("\"seq\":7", "\"seq\":8"), HasSubstr("data.seq"));
  EXPECT_THAT(with("\"event\":\"note\"", "\"event\":\"result\""), HasSubstr("data.event"));
  EXPECT_THAT(with("\"deploy_id\":\"0", "\"deploy_id\":\"1"), HasSubstr("data.deploy_id"));
  EXPECT_THAT(with("\"data\":{", "\"other\":{"), HasSubstr("data"));
  const auto result = parse_cloud_event(cloud_event(kDeployment, 7, "result", R"(,"status":"ok")"));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), HasSubstr("data.status"));
}

TEST(CloudEvent, LongTextsAreCut) {
  const auto event = parse_cloud_event(
      cloud_event(kDeployment, 7, "note", R"(,"text":")" + std::string(60'000, 'x') + "\""));
  ASSERT_TRUE(event);
  EXPECT_LT(event->note.size(), 5000U);
}

// A fleet with its store, as the controller has them.
class FleetTest : public testing::Test {
 protected:
  FleetTest() { begin(); }

  void begin() {
    store_.reset();
    fleet_ = std::make_unique<Fleet>();
    auto store = Store::open({.path = dir_ / "s.db", .same_body = same_json});
    ASSERT_TRUE(store) << store.error().message();
    store_ = *std::move(store);
    ASSERT_TRUE(fleet_->set_machines({"node-1", "node-2"}, *store_));
  }

  void report(const std::string& id, std::int64_t seq, const std::string& type,
              const std::string& more = {}, const std::string& tag = "abc-0") {
    const std::string body = cloud_event(id, seq, type, more);
    const auto event = parse_cloud_event(body);
    ASSERT_TRUE(event) << event.error().message();
    std::promise<void> done;
    ASSERT_TRUE(store_->append({.deploy_id = id,
                                .seq = seq,
                                .machine = "node-1",
                                .type = type,
                                .time = event->time,
                                .request = tag,
                                .body = body,
                                .status = event->result.status,
                                .disk = event->result.disk},
                               [&](const Result<Appended>& appended) {
                                 if (appended && appended->outcome == Appended::Outcome::stored)
                                   fleet_->take("node-1", tag, *event, *appended);
                                 done.set_value();
                               }));
    done.get_future().wait();
  }
  MachineState state() { return fleet_->find("node-1").value(); }

  Directory dir_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Store> store_;
};

TEST_F(FleetTest, ShowsWhereADeploymentStandsAndDoesSoAfterARestart) {
  report(kDeployment, 0, "started", R"(,"image_url":"http://x/y","device":"/dev/sda")");
  report(kDeployment, 1, "retry", R"(,"attempt":3,"reason":"timeout")");
  report(kDeployment, 5, "progress", kProgress);
  report(kDeployment, 4, "progress", R"(,"phase":"connect","percent":1)");
  for (const char* when : {"now", "after a restart"}) {
    const auto last = state().last;
    ASSERT_TRUE(last) << when;
    EXPECT_EQ(last->status, "running") << when;
    EXPECT_EQ(last->phase, "write") << when << ": what came late changes nothing";
    EXPECT_EQ(last->progress.percent, 10.0) << when;
    EXPECT_EQ(last->progress.eta_seconds, 18) << when;
    EXPECT_EQ(last->device, "/dev/sda") << when;
    EXPECT_EQ(last->retries, 3) << when;
    EXPECT_EQ(last->request, "abc-0") << when;
    begin();
  }
  report(kDeployment, 6, "result", kFailed);
  report(kDeployment, 7, "progress", kProgress);
  for (const char* when : {"now", "after a restart"}) {
    EXPECT_EQ(state().last->status, "failed") << when;
    EXPECT_EQ(state().last->result.error_message, "no") << when;
    EXPECT_EQ(state().last->progress.eta_seconds, std::nullopt) << when;
    EXPECT_EQ(state().installed, "") << when;
    begin();
  }
}

TEST_F(FleetTest, KnowsWhatIsOnTheDisk) {
  report(kDeployment, 0, "started");
  EXPECT_EQ(state().installed, "");
  report(kDeployment, 1, "result", kSucceeded);
  EXPECT_EQ(state().installed, "abc-0");
  EXPECT_EQ(state().last->progress.percent, 100.0);
  report(kOtherDeployment, 0, "started", {}, "def-0");
  EXPECT_EQ(state().installed, "") << "it may have begun to write";
  begin();
  report(kOtherDeployment, 1, "result", R"(,"status":"failed","disk_state":"untouched")", "def-0");
  EXPECT_EQ(state().installed, "abc-0") << "it had not";
  begin();
  EXPECT_EQ(state().installed, "abc-0");
  report(kDeployment, 9, "note", R"(,"text":"late")");
  EXPECT_EQ(state().last->id, kOtherDeployment) << "an earlier one does not come back";
}

TEST_F(FleetTest, TellsWhatChangedSince) {
  const auto all = fleet_->changes(0, 10);
  ASSERT_EQ(all.machines.size(), 2U);
  EXPECT_TRUE(fleet_->changes(all.change, 10).machines.empty());
  report(kDeployment, 0, "started");
  fleet_->take_question("node-2", 200);
  const auto first = fleet_->changes(all.change, 1);
  ASSERT_EQ(first.machines.size(), 1U);
  EXPECT_EQ(first.machines[0].name, "node-1") << "in the order of the changes";
  const auto second = fleet_->changes(first.change, 10);
  ASSERT_EQ(second.machines.size(), 1U);
  EXPECT_EQ(second.machines[0].answered, 200U);
  EXPECT_EQ(second.members, all.members);
  ASSERT_TRUE(fleet_->set_machines({"node-1"}, *store_));
  EXPECT_NE(fleet_->changes(second.change, 10).members, all.members);
  EXPECT_FALSE(fleet_->knows("node-2"));
  EXPECT_EQ(state().last->id, kDeployment) << "who stays keeps its state";
}

}  // namespace
}  // namespace ingot::agent
