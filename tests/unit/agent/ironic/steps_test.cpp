// Steps: what is offered, and how one is executed.
#include "agent/ironic/steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <stdexcept>

#include "agent/ironic/cleaning.hpp"
#include "agent/ironic/deploying.hpp"
#include "tests/unit/agent/ironic/agent_rig.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::AgentRig;
using testing::ElementsAre;

class Steps : public testing::Test {
 protected:
  Steps() {
    std::vector<Step> steps;
    steps.push_back({.name = "first",
                     .clean = 10,
                     .deploy = 0,
                     .abortable = true,
                     .arguments = R"({"depth":{"description":"How deep","required":false}})",
                     .run = [this](const StepCall& call) {
                       args_ = call.args;
                       node_ = call.node;
                       return CommandOutcome(R"({"first":true})");
                     }});
    steps.push_back({.name = "second", .clean = 0, .service = 5, .run = [](const StepCall&) {
                       return CommandOutcome("null");
                     }});
    steps.push_back(
        {.name = "throws",
         .clean = 0,
         .deploy = 0,
         .service = 0,
         .run = [](const StepCall&) -> CommandOutcome { throw std::runtime_error("thrown"); }});
    steps.push_back({.name = "fails", .clean = 0, .run = [](const StepCall&) {
                       return CommandOutcome(
                           tl::unexpected(failure("BlockDeviceEraseError", "/dev/sda: why")));
                     }});
    add_step_commands(rig_.table, std::move(steps), rig_.node);
  }
  json::object steps_of(const std::string& kind) {
    const auto record = rig_.run(kind + ".get_" + kind + "_steps",
                                 {{"node", json::object()}, {"ports", json::array()}});
    EXPECT_EQ(test::status_of(record), "SUCCEEDED");
    const json::object* result = object_in(record, "command_result");
    return result != nullptr ? *result : json::object();
  }
  json::value version() { return steps_of("clean").at("hardware_manager_version"); }
  json::object execute(const std::string& kind, const json::object& params) {
    return rig_.run(kind + ".execute_" + kind + "_step", params);
  }

  json::object args_, node_;
  AgentRig rig_;
};

TEST_F(Steps, AreListedByManager) {
  const auto clean = steps_of("clean");
  EXPECT_EQ(clean.size(), 2U);
  const json::object& managers = clean.at("clean_steps").as_object();
  ASSERT_EQ(managers.size(), 1U);
  EXPECT_EQ(json::serialize(managers.begin()->value()),
            R"([{"step":"first","priority":10,"interface":"deploy","reboot_requested":false,)"
            R"("abortable":true,"argsinfo":{"depth":{"description":"How deep","required":false}}},)"
            R"({"step":"second","priority":0,"interface":"deploy","reboot_requested":false,)"
            R"("abortable":false},)"
            R"({"step":"throws","priority":0,"interface":"deploy","reboot_requested":false,)"
            R"("abortable":false},)"
            R"({"step":"fails","priority":0,"interface":"deploy","reboot_requested":false,)"
            R"("abortable":false}])");
  const auto& version = clean.at("hardware_manager_version").as_object();
  ASSERT_FALSE(version.empty());
  for (const auto& [name, text] : version) EXPECT_TRUE(text.is_string()) << name;
}

TEST_F(Steps, OfEachKind) {
  const auto names = [this](const std::string& kind) {
    std::vector<std::string> out;
    const auto result = steps_of(kind);
    EXPECT_EQ(json::serialize(result.at("hardware_manager_version")), json::serialize(version()));
    for (const auto& step : result.at(kind + "_steps").as_object().begin()->value().as_array()) {
      out.push_back(string_in(step.as_object(), "step"));
      // The conductor aborts no deploy step.
      EXPECT_EQ(step.as_object().contains("abortable"), kind != "deploy");
    }
    return out;
  };
  EXPECT_THAT(names("clean"), ElementsAre("first", "second", "throws", "fails"));
  EXPECT_THAT(names("deploy"), ElementsAre("first", "throws"));
  EXPECT_THAT(names("service"), ElementsAre("second", "throws"));
}

TEST_F(Steps, TheNewestNodeIsKeptWithoutItsSecrets) {
  rig_.run("clean.get_clean_steps",
           {{"node", {{"uuid", "u1"}, {"driver_info", {{"ipmi_password", "S3CR3T"}}}}}});
  EXPECT_NE(rig_.node.node().find("u1"), std::string::npos);
  EXPECT_EQ(rig_.node.node().find("S3CR3T"), std::string::npos);
  execute("clean", {{"step", {{"step", "second"}}}, {"node", {{"uuid", "u2"}}}});
  EXPECT_EQ(rig_.node.node(), R"({"uuid":"u2"})");
}

TEST_F(Steps, AreExecutedAndEchoed) {
  const json::object step{{"step", "first"},
                          {"interface", "deploy"},
                          {"priority", 10},
                          {"requires_ramdisk", true},
                          {"args", {{"depth", 3}, {"both", "own"}}}};
  const auto record = execute("clean", {{"step", step},
                                        {"node", {{"uuid", "u"}}},
                                        {"ports", json::array{1}},
                                        {"clean_version", version()},
                                        {"both", "beside"},
                                        {"extra", true}});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_EQ(string_in(record, "command_name"), "execute_clean_step");
  EXPECT_EQ(
      json::serialize(record.at("command_result")),
      json::serialize(json::object{{"clean_result", {{"first", true}}}, {"clean_step", step}}));
  EXPECT_EQ(json::value(args_), json::value({{"depth", 3}, {"both", "own"}, {"extra", true}}));
  EXPECT_EQ(json::serialize(node_), R"({"uuid":"u"})");
}

TEST_F(Steps, TheEchoHasNoSecrets) {
  const auto record = execute(
      "deploy", {{"step",
                  {{"step", "first"},
                   {"interface", "deploy"},
                   {"args",
                    {{"configdrive", "S3CR3T"},
                     {"image_info",
                      {{"id", "image"},
                       {"image_server_password", "S3CR3T"},
                       {"image_request_authorization", "S3CR3T"},
                       {"configdrive", "S3CR3T"},
                       {"proxies", {{"http", "u:S3CR3T@proxy"}}},
                       {"urls", json::array{"http://u:S3CR3T@host/image?sig=S3CR3T"}}}}}}}}});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_EQ(test::text_of(record).find("S3CR3T"), std::string::npos) << test::text_of(record);
  EXPECT_NE(json::serialize(args_).find("S3CR3T"), std::string::npos) << "the step itself has them";
  const json::object& step = *object_in(*object_in(record, "command_result"), "deploy_step");
  EXPECT_EQ(string_in(step, "step"), "first");
  EXPECT_EQ(string_in(step, "interface"), "deploy");
}

TEST_F(Steps, ArgsMayBeNullOrMissing) {
  EXPECT_EQ(test::status_of(execute("clean", {{"step", {{"step", "first"}, {"args", nullptr}}}})),
            "SUCCEEDED");
  EXPECT_TRUE(args_.empty());
  EXPECT_EQ(test::status_of(execute("clean", {{"step", {{"step", "first"}}}, {"node", nullptr}})),
            "SUCCEEDED");
  EXPECT_TRUE(node_.empty());
}

TEST_F(Steps, AResultMayBeNull) {
  const auto record = execute("service", {{"step", {{"step", "second"}}}});
  EXPECT_EQ(json::serialize(record.at("command_result")),
            R"({"service_result":null,"service_step":{"step":"second"}})");
}

TEST_F(Steps, OfAnotherVersionAreRefused) {
  for (const std::string kind : {"clean", "deploy", "service"})
    for (const json::value& planned :
         {json::value({{"generic_hardware_manager", "1.2"}}), json::value(json::object()),
          json::value("1"), json::value({{"ingot_hardware_manager", "0"}})}) {
      args_ = {{"untouched", true}};
      const auto record =
          execute(kind, {{"step", {{"step", "first"}}}, {kind + "_version", planned}});
      EXPECT_EQ(string_in(record, "command_status"), "CLEAN_VERSION_MISMATCH") << kind;
      EXPECT_EQ(test::error_type(record), "VersionMismatch");
      EXPECT_EQ(integer_in(*object_in(record, "command_error"), "code"), 409);
      EXPECT_TRUE(record.at("command_result").is_null());
      EXPECT_TRUE(args_.contains("untouched")) << "it ran";
    }
  for (const json::value& planned : {version(), json::value(nullptr)})
    EXPECT_EQ(test::status_of(
                  execute("clean", {{"step", {{"step", "first"}}}, {"clean_version", planned}})),
              "SUCCEEDED");
}

TEST_F(Steps, UnknownOnesFail) {
  for (const auto* name : {"none", "First", "fails", "second"}) {
    const auto record = execute("deploy", {{"step", {{"step", name}}}});
    EXPECT_EQ(string_in(record, "command_status"), "FAILED") << name;
    EXPECT_EQ(test::error_type(record), "HardwareManagerMethodNotFound");
    EXPECT_NE(test::error_details(record).find(name), std::string::npos);
  }
}

TEST_F(Steps, WithoutANameFail) {
  const std::pair<const char*, const char*> kinds[] = {
      {"clean", "CleaningError"}, {"deploy", "DeploymentError"}, {"service", "ServicingError"}};
  for (const auto& [kind, type] : kinds)
    for (const json::object& params :
         {json::object(), json::object{{"step", nullptr}}, json::object{{"step", "first"}},
          json::object{{"step", json::object()}}, json::object{{"step", {{"step", 5}}}},
          json::object{{"step", {{"step", ""}}}}}) {
      const auto record = execute(kind, params);
      EXPECT_EQ(string_in(record, "command_status"), "FAILED") << json::serialize(params);
      EXPECT_EQ(test::error_type(record), type);
    }
}

TEST_F(Steps, AnExceptionIsTheKindsError) {
  const std::pair<const char*, const char*> kinds[] = {
      {"clean", "CleaningError"}, {"deploy", "DeploymentError"}, {"service", "ServicingError"}};
  for (const auto& [kind, type] : kinds) {
    const auto record = execute(kind, {{"step", {{"step", "throws"}}}});
    EXPECT_EQ(string_in(record, "command_status"), "FAILED");
    EXPECT_EQ(test::error_type(record), type);
    EXPECT_NE(test::error_details(record).find("throws"), std::string::npos);
    EXPECT_NE(test::error_details(record).find("thrown"), std::string::npos);
  }
}

TEST_F(Steps, AFailureKeepsItsClass) {
  const auto record = execute("clean", {{"step", {{"step", "fails"}}}});
  EXPECT_EQ(test::status_of(record), "FAILED BlockDeviceEraseError: /dev/sda: why");
  EXPECT_TRUE(record.at("command_result").is_null());
}

// The agent's own steps, by their names and priorities; none is run here.
TEST(OwnSteps, HaveThePrioritiesOfIronicsAgent) {
  const AgentOptions options;
  AgentRig rig;
  auto steps = cleaning_steps(options, rig.node);
  for (auto& step : deploy_steps(options, rig.node)) steps.push_back(std::move(step));
  add_step_commands(rig.table, std::move(steps), rig.node);
  const auto priorities = [&rig](const std::string& kind) {
    const auto record = rig.run(kind + ".get_" + kind + "_steps", {});
    std::vector<std::pair<std::string, std::int64_t>> out;
    for (const auto& step :
         record.at("command_result").at(kind + "_steps").at("IngotHardwareManager").as_array())
      out.emplace_back(string_in(step.as_object(), "step"),
                       integer_in(step.as_object(), "priority").value_or(-1));
    return out;
  };
  using Pair = std::pair<std::string, std::int64_t>;
  EXPECT_THAT(
      priorities("clean"),
      testing::UnorderedElementsAre(Pair("erase_devices", 10), Pair("erase_devices_metadata", 99),
                                    Pair("erase_devices_express", 0), Pair("erase_pstore", 0)));
  EXPECT_THAT(priorities("deploy"),
              testing::UnorderedElementsAre(Pair("erase_devices_metadata", 0),
                                            Pair("write_image", 0), Pair("write_osimage", 0)));
  EXPECT_THAT(priorities("service"), testing::UnorderedElementsAre(Pair("write_image", 0)));
}

}  // namespace
}  // namespace ingot::agent
