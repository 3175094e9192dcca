// Inspection's data reach a real server, and what is tried again.
#include "agent/ironic/inspection.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "agent/text/json_object.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

using test::FakeIronic;

const std::string kUuid = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
constexpr InspectionTimes kSoon{std::chrono::milliseconds(10), std::chrono::milliseconds(20), 5};

HttpAnswer says(unsigned status, std::string body = "{}") {
  return {.status = status, .body = std::move(body)};
}

AgentOptions options(const std::vector<std::string>& urls) {
  AgentOptions made;
  made.inspection_callback_urls = urls;
  made.inspection_collectors = {"default", "no-such-collector"};
  made.dhcp_wait = std::chrono::seconds(0);
  return made;
}

Result<std::string> inspected(const AgentOptions& made, const std::stop_token& stop = {}) {
  IronicClient client(made);
  const NodeState node;
  return inspect(made, client, node, stop, kSoon);
}

TEST(InspectionPost, WantedByItsUrlOrByCollectorsWithAnApi) {
  AgentOptions made;
  EXPECT_FALSE(wants_inspection(made));
  made.inspection_collectors = {"default"};
  EXPECT_FALSE(wants_inspection(made));
  made.api_urls = {"http://127.0.0.1:6385"};
  EXPECT_TRUE(wants_inspection(made));
  made = {};
  made.inspection_callback_urls = {"http://127.0.0.1:6385/v1/continue_inspection"};
  EXPECT_TRUE(wants_inspection(made));
}

TEST(InspectionPost, TheInventoryIsPostedAndTheNodeNamed) {
  FakeIronic ironic(
      [](const auto&, std::size_t) { return says(202, R"({"uuid":")" + kUuid + "\"}"); });
  const auto uuid = inspected(options({ironic.url() + "/prefix/v1/continue_inspection"}));
  ASSERT_TRUE(uuid) << uuid.error().message();
  EXPECT_EQ(*uuid, kUuid);
  const auto requests = ironic.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/prefix/v1/continue_inspection");
  const auto body = parse_json_object(requests[0].body);
  ASSERT_TRUE(body);
  ASSERT_NE(object_in(*body, "inventory"), nullptr);
  EXPECT_TRUE(body->at("error").is_null());
  // Those that are not known do not fail it, and logs were not asked for.
  EXPECT_FALSE(body->contains("logs"));
}

TEST(InspectionPost, WithoutAUrlOfItsOwnItGoesToTheApi) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(202); });
  auto made = options({});
  made.api_urls = {ironic.url() + "/baremetal"};
  EXPECT_TRUE(inspected(made));
  ASSERT_EQ(ironic.requests().size(), 1U);
  EXPECT_EQ(ironic.requests()[0].target, "/baremetal/v1/continue_inspection");
}

TEST(InspectionPost, AConflictAndAServersTroubleAreTriedAgain) {
  FakeIronic ironic([](const auto&, std::size_t number) {
    return says(number == 0 ? 409 : number == 1 ? 503 : 202);
  });
  EXPECT_TRUE(inspected(options({ironic.url()})));
  EXPECT_EQ(ironic.requests().size(), 3U);
}

TEST(InspectionPost, FiveTimesAtMost) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(500); });
  const auto uuid = inspected(options({ironic.url()}));
  ASSERT_FALSE(uuid);
  EXPECT_EQ(uuid.error().code(), Errc::controller_refused);
  EXPECT_EQ(ironic.requests().size(), 5U);
}

TEST(InspectionPost, AnyOtherRefusalIsFinal) {
  for (const unsigned status : {400U, 403U, 404U}) {
    FakeIronic ironic([status](const auto&, std::size_t) { return says(status); });
    EXPECT_FALSE(inspected(options({ironic.url()})));
    EXPECT_EQ(ironic.requests().size(), 1U) << status;
  }
}

TEST(InspectionPost, TheNextUrlWhereNobodyListens) {
  std::string dead;
  {
    FakeIronic gone([](const auto&, std::size_t) { return says(200); });
    dead = gone.url();
  }
  FakeIronic ironic([](const auto&, std::size_t) { return says(202); });
  EXPECT_TRUE(inspected(options({dead, ironic.url()})));
  EXPECT_EQ(ironic.requests().size(), 1U);
}

// It becomes part of a query.
TEST(InspectionPost, WhatIsNoUuidIsNone) {
  FakeIronic ironic([](const auto&, std::size_t) { return says(202, R"({"uuid":"a&b=c d"})"); });
  const auto uuid = inspected(options({ironic.url()}));
  ASSERT_TRUE(uuid);
  EXPECT_EQ(*uuid, "");
}

TEST(InspectionPost, AStopEndsIt) {
  std::stop_source stop;
  stop.request_stop();
  FakeIronic ironic([](const auto&, std::size_t) { return says(202); });
  EXPECT_FALSE(inspected(options({ironic.url()}), stop.get_token()));
  EXPECT_TRUE(ironic.requests().empty());
}

}  // namespace
}  // namespace ingot::agent
