// An image onto a disk as the conductor orders it, on loop devices, from a real server.
#include "agent/ironic/deploying.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/unit/agent/ironic/loop_agent.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::DiskImage;
using test::LoopAgent;
using test::LoopDevice;
using test::ServedText;

constexpr std::uint64_t kSize = 32 * MiB;

class Deploying : public testing::Test {
 protected:
  [[nodiscard]] json::object info(const std::string& url, const std::string& checksum,
                                  const json::value& format = nullptr) const {
    return {{"id", "image"},           {"urls", json::array{json::value_from(url)}},
            {"disk_format", format},   {"os_hash_algo", "sha256"},
            {"node_uuid", "1be26c0b"}, {"os_hash_value", json::value_from(checksum)}};
  }
  json::object write(const json::object& image_info, const json::object& more = {}) {
    json::object args = more;
    args["image_info"] = image_info;
    return agent_.step("deploy", "write_image", args, node_);
  }
  json::object uuids() {
    const auto record = agent_.run("standby.get_partition_uuids", {});
    return record.at("command_result").as_object();
  }
  void expect_written() {
    EXPECT_EQ(test::bytes_of(disk_, DiskImage::kDataAt, MiB), std::string(MiB, 'b'));
    EXPECT_EQ(test::bytes_of(disk_, 510, 2), "\x55\xAA");
  }
  void expect_not_bootable() {
    EXPECT_EQ(test::bytes_of(disk_, 0, MiB), std::string(MiB, '\0'));
    EXPECT_EQ(test::bytes_of(disk_, kSize - MiB, MiB), std::string(MiB, '\0'));
  }

  const LoopDevice disk_{kSize};
  json::object node_{
      {"uuid", "1be26c0b"},
      {"instance_info", {{"root_device", {{"name", json::value_from("s== " + disk_.path())}}}}}};
  const DiskImage image_;
  const std::string raw_ = image_.content();
  const std::string raw_sum_ = image_.sum_of(raw_, "sha256sum");
  LoopAgent agent_{{&disk_}};
};

TEST_F(Deploying, Raw) {
  ServedText server(raw_);
  EXPECT_EQ(json::serialize(uuids()), "{}") << "nothing was written yet";
  const auto record = write(info(server.url(), raw_sum_, "raw"));
  ASSERT_EQ(test::status_of(record), "SUCCEEDED");
  expect_written();
  const json::object& result = record.at("command_result").as_object();
  EXPECT_EQ(
      string_in(*object_in(result, "deploy_result"), "result"),
      "prepare_image: image (image) written to device " + disk_.path() + " root_uuid=0x00000000");
  EXPECT_EQ(json::serialize(uuids()), R"({"root uuid":"0x00000000"})");
  EXPECT_EQ(agent_.node.job(), nullptr);
}

TEST_F(Deploying, Qcow2) {
  const std::string qcow2 = image_.as("qcow2");
  ServedText server(qcow2);
  const std::string sum = image_.sum_of(qcow2, "sha512sum");
  auto order = info(server.url(), sum, "qcow2");
  order["os_hash_algo"] = "sha512";
  ASSERT_EQ(test::status_of(write(order)), "SUCCEEDED");
  expect_written();
}

TEST_F(Deploying, AnMbrsIdentifierIsTheRootUuid) {
  const DiskImage mbr("dos");
  test::run("sfdisk -q --disk-id " + mbr.raw() + " 0x1234abcd");
  const std::string content = mbr.content();
  ServedText server(content);
  ASSERT_EQ(test::status_of(write(info(server.url(), mbr.sum_of(content, "sha256sum"), "raw"))),
            "SUCCEEDED");
  EXPECT_EQ(json::serialize(uuids()), R"({"root uuid":"0x1234abcd"})");
}

TEST_F(Deploying, AWrongChecksumLeavesADiskThatDoesNotBoot) {
  ServedText server(raw_);
  const auto record = write(info(server.url(), std::string(64, '0'), "raw"));
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "ImageChecksumError");
  EXPECT_NE(test::error_details(record).find(raw_sum_), std::string::npos)
      << test::error_details(record);
  EXPECT_TRUE(record.at("command_result").is_null());
  expect_not_bootable();
  EXPECT_EQ(json::serialize(uuids()), "{}");
}

TEST_F(Deploying, AFailureForgetsWhatWasWrittenBefore) {
  ServedText server(raw_);
  ASSERT_EQ(test::status_of(write(info(server.url(), raw_sum_, "raw"))), "SUCCEEDED");
  EXPECT_EQ(uuids().size(), 1U);
  write(info(server.url(), std::string(64, '0'), "raw"));
  EXPECT_EQ(uuids().size(), 0U);
}

TEST_F(Deploying, AMissingImageTouchesNothing) {
  test::run("head -c 4K /dev/zero | tr '\\0' x | dd of=" + disk_.path() +
            " conv=fsync status=none");
  test::FakeIronic server([](const auto&, std::size_t) { return HttpAnswer{.status = 404}; });
  const auto record = write(info(server.url() + "/none?sig=S3CR3T", raw_sum_, "raw"));
  EXPECT_EQ(test::error_type(record), "ImageDownloadError");
  EXPECT_NE(test::error_details(record).find("404"), std::string::npos);
  EXPECT_EQ(test::text_of(record).find("S3CR3T"), std::string::npos);
  EXPECT_EQ(test::bytes_of(disk_, 0, 4), "xxxx");
}

TEST_F(Deploying, FilesOfThisHostAreNoImages) {
  const auto record = write(info("file://" + image_.raw(), raw_sum_, "raw"));
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  const auto drive =
      write(info("http://127.0.0.1:1/", raw_sum_, "raw"), {{"configdrive", "/etc/hostname"}});
  EXPECT_EQ(string_in(drive, "command_status"), "FAILED");
}

TEST_F(Deploying, AWrongOrderIsAFailedStep) {
  auto order = info("http://127.0.0.1:1/", raw_sum_);
  order.erase("id");
  EXPECT_EQ(test::error_type(write(order)), "InvalidCommandParamsError");
  const auto none = agent_.step("deploy", "write_image", {}, node_);
  EXPECT_EQ(test::error_type(none), "InvalidCommandParamsError");
  EXPECT_EQ(string_in(none, "command_status"), "FAILED");
}

TEST_F(Deploying, HintsThatNoDiskSatisfies) {
  node_["instance_info"] = {{"root_device", {{"serial", "nobody"}}}};
  const auto record = write(info("http://127.0.0.1:1/", raw_sum_));
  EXPECT_EQ(test::error_type(record), "DeviceNotFound");
  EXPECT_EQ(integer_in(*object_in(record, "command_error"), "code"), 404);
}

TEST_F(Deploying, PrepareImageIsTheOldNameOfTheStep) {
  ServedText server(raw_);
  agent_.run("deploy.get_deploy_steps", {{"node", node_}});
  const auto record =
      agent_.run("standby.prepare_image",
                 {{"image_info", info(server.url(), raw_sum_, "raw")}, {"configdrive", nullptr}});
  ASSERT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(string_in(*object_in(record, "command_result"), "result")
                  .starts_with("prepare_image: image (image) written to device "));
  expect_written();
  for (const json::object& wrong : {json::object(), json::object{{"image_info", nullptr}},
                                    json::object{{"image_info", {{"id", "image"}}}}}) {
    const auto answer = agent_.post(
        json::serialize(json::object{{"name", "standby.prepare_image"}, {"params", wrong}}));
    const auto fault = test::AgentRig::object(answer, 400);
    EXPECT_TRUE(string_in(fault, "faultstring").starts_with("Invalid command parameters: "));
  }
}

TEST_F(Deploying, AnOsImagesProperties) {
  ServedText server(raw_);
  const json::object properties{{"metal3.vcluster.com/image-url", json::value_from(server.url())},
                                {"metal3.vcluster.com/image-checksum", json::value_from(raw_sum_)}};
  const auto record = agent_.step("deploy", "write_osimage", {{"properties", properties}}, node_);
  ASSERT_EQ(test::status_of(record), "SUCCEEDED");
  expect_written();
  EXPECT_EQ(test::status_of(agent_.step("deploy", "write_osimage", properties, node_)),
            "SUCCEEDED");
  EXPECT_EQ(test::error_type(agent_.step("deploy", "write_osimage", {}, node_)),
            "InvalidCommandParamsError");
}

TEST_F(Deploying, AStopCancelsTheJob) {
  test::FakeIronic server([](const auto&, std::size_t) {
    return HttpAnswer{.later = [] { return std::optional<HttpAnswer>(); }};
  });
  const auto begun = test::AgentRig::object(agent_.post(json::serialize(
      json::object{{"name", "deploy.execute_deploy_step"},
                   {"params",
                    {{"step",
                      {{"step", "write_image"},
                       {"args", {{"image_info", info(server.url(), raw_sum_, "raw")}}}}},
                     {"node", node_}}}})));
  ASSERT_TRUE(server.wait_for(1));
  agent_.table.finish();
  const auto record = agent_.table.find(string_in(begun, "id"));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->status, CommandStatus::failed);
  EXPECT_EQ(agent_.node.job(), nullptr);
}

}  // namespace
}  // namespace ingot::agent
