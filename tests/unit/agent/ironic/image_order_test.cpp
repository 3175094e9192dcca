// From what the conductor orders to the job's request.
#include "agent/ironic/image_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <utility>

#include "agent/text/json_object.hpp"
#include "disk/inventory/disk.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using imaging::ImageFormat;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kMd5(32, 'a'), kSha256(64, 'b'), kSha512(128, 'c');

class Order : public testing::Test {
 protected:
  Order() {
    info_ = {{"id", "image.qcow2"},         {"urls", json::array{"http://172.22.0.1/image.qcow2"}},
             {"disk_format", "qcow2"},      {"container_format", nullptr},
             {"stream_raw_images", true},   {"os_hash_algo", "sha256"},
             {"os_hash_value", kSha256},    {"node_uuid", "1be26c0b"},
             {"news", {{"of", "tomorrow"}}}};
  }
  tl::expected<WriteRequest, AgentError> order(const std::string& config_drive = {}) const {
    return write_request(info_, config_drive, {options_, policy_, node_});
  }
  WriteRequest taken(const std::string& config_drive = {}) const {
    auto request = order(config_drive);
    EXPECT_TRUE(request) << request.error().type << ": " << request.error().details;
    return request ? *std::move(request) : WriteRequest();
  }
  AgentError refused() const {
    const auto request = order();
    EXPECT_FALSE(request) << json::serialize(info_);
    return request ? AgentError() : request.error();
  }
  void only_checksum(const json::value& checksum) {
    info_.erase("os_hash_algo");
    info_.erase("os_hash_value");
    info_["checksum"] = checksum;
  }

  json::object info_, node_;
  AgentOptions options_;
  ImagePolicy policy_;
};

TEST_F(Order, AWholeOne) {
  options_.ca_file = "/ca.pem";
  options_.only_disks = {"/dev/loop7"};
  const WriteRequest request = taken("https://host/config-drive");
  EXPECT_THAT(request.image.urls, ElementsAre("http://172.22.0.1/image.qcow2"));
  EXPECT_EQ(request.image.checksum.value_or_url, kSha256);
  EXPECT_EQ(request.image.checksum.type, DigestType::sha256);
  EXPECT_EQ(request.image.format, ImageFormat::qcow2);
  EXPECT_THAT(request.image.permitted, ElementsAre(ImageFormat::raw, ImageFormat::qcow2));
  EXPECT_TRUE(request.image.md5_allowed);
  EXPECT_FALSE(request.image.no_checksum_accepted);
  EXPECT_FALSE(request.image.allow_unrecognized);
  EXPECT_EQ(request.config_drive.config_drive, "https://host/config-drive");
  EXPECT_THAT(request.target.only, ElementsAre("/dev/loop7"));
  ASSERT_TRUE(request.target.hints);
  EXPECT_TRUE(request.target.hints->empty());
  EXPECT_EQ(request.target.device, "");
  EXPECT_TRUE(request.target.yes);
  EXPECT_TRUE(request.target.force);
  EXPECT_FALSE(request.target.dry_run);
  EXPECT_FALSE(request.transfer.allow_file) << "a controller names no files of this host";
  EXPECT_EQ(request.transfer.ca_file, "/ca.pem");
  EXPECT_FALSE(request.transfer.tls_insecure);
  EXPECT_EQ(request.transfer.user + request.transfer.password + request.transfer.authorization +
                request.transfer.proxy + request.transfer.no_proxy,
            "");
}

TEST_F(Order, InsecureAsTheParameterSays) {
  options_.tls_insecure = true;
  EXPECT_TRUE(taken().transfer.tls_insecure);
}

TEST_F(Order, NeedsAnId) {
  for (const json::value& id : {json::value(nullptr), json::value(""), json::value(5)}) {
    info_["id"] = id;
    EXPECT_EQ(refused().type, "InvalidCommandParamsError");
    EXPECT_TRUE(check_image_info(info_, policy_));
  }
}

TEST_F(Order, NeedsUrls) {
  for (const json::value& urls :
       {json::value(nullptr), json::value(json::array()), json::value("http://host/image"),
        json::value(json::array{""}), json::value(json::array{5}), json::value(json::object())}) {
    info_["urls"] = urls;
    EXPECT_EQ(refused().type, "InvalidCommandParamsError");
  }
  info_["urls"] = json::array{"http://a/i", 5, "", "http://b/i"};
  EXPECT_THAT(taken().image.urls, ElementsAre("http://a/i", "http://b/i"));
}

TEST_F(Order, NeedsAChecksum) {
  for (const json::value& checksum :
       {json::value(nullptr), json::value(""), json::value(5), json::value(json::array{kSha256})}) {
    only_checksum(json::value_from(checksum));
    const AgentError error = refused();
    EXPECT_EQ(error.type, "InvalidCommandParamsError");
    EXPECT_NE(error.details.find("checksum"), std::string::npos);
  }
  info_.erase("checksum");
  EXPECT_EQ(refused().type, "InvalidCommandParamsError");
}

TEST_F(Order, HalfAPairIsNone) {
  info_["checksum"] = kSha256;
  for (const auto* missing : {"os_hash_algo", "os_hash_value"})
    for (const json::value& value : {json::value(nullptr), json::value(""), json::value(5)}) {
      auto whole = info_;
      info_[missing] = value;
      EXPECT_EQ(refused().type, "InvalidCommandParamsError") << missing;
      info_ = std::move(whole);
    }
}

TEST_F(Order, ThePairComesFirst) {
  info_["checksum"] = kMd5;
  const ChecksumRequest pair = taken().image.checksum;
  EXPECT_EQ(pair.value_or_url, kSha256);
  EXPECT_EQ(pair.type, DigestType::sha256);
  info_["os_hash_algo"] = "SHA512";
  info_["os_hash_value"] = "http://host/SHA512SUMS";
  const ChecksumRequest listed = taken().image.checksum;
  EXPECT_EQ(listed.value_or_url, "http://host/SHA512SUMS");
  EXPECT_EQ(listed.type, DigestType::sha512);
}

TEST_F(Order, AnUnknownAlgorithmLeavesTheSingleOne) {
  info_["os_hash_algo"] = "sha3-256";
  const AgentError error = refused();
  EXPECT_EQ(error.type, "InvalidCommandParamsError");
  EXPECT_NE(error.details.find("sha3-256"), std::string::npos);
  info_["checksum"] = kSha512;
  EXPECT_EQ(taken().image.checksum.value_or_url, kSha512);
  EXPECT_FALSE(taken().image.checksum.type);
}

TEST_F(Order, TheSingleOneIsOfItsLength) {
  for (const std::string& checksum : {kMd5, kSha256, kSha512, std::string("https://host/SUMS")}) {
    only_checksum(json::value_from(checksum));
    EXPECT_EQ(taken().image.checksum.value_or_url, checksum);
    EXPECT_FALSE(taken().image.checksum.type);
  }
}

TEST_F(Order, Md5AsThePolicySays) {
  only_checksum(json::value_from(kMd5));
  EXPECT_FALSE(check_image_info(info_, policy_));
  policy_.md5_allowed = false;
  const AgentError error = refused();
  EXPECT_EQ(error.type, "InvalidCommandParamsError");
  EXPECT_NE(error.details.find("md5"), std::string::npos);
  for (const std::string& other : {kSha256, kSha512, std::string("http://host/SUMS")}) {
    only_checksum(json::value_from(other));
    EXPECT_FALSE(taken().image.md5_allowed) << "what a list brings is judged by the job";
  }
  // By its name it is what the node's owner chose.
  info_["os_hash_algo"] = "md5";
  info_["os_hash_value"] = kMd5;
  EXPECT_EQ(taken().image.checksum.type, DigestType::md5);
}

TEST_F(Order, Formats) {
  const std::pair<const char*, ImageFormat> known[] = {
      {"raw", ImageFormat::raw},   {"gpt", ImageFormat::raw},  {"qcow2", ImageFormat::qcow2},
      {"vmdk", ImageFormat::vmdk}, {"vdi", ImageFormat::vdi},  {"vpc", ImageFormat::vhd},
      {"vhd", ImageFormat::vhd},   {"vhdx", ImageFormat::vhdx}};
  for (const auto& [name, format] : known) {
    info_["disk_format"] = name;
    EXPECT_EQ(taken().image.format, format) << name;
  }
  for (const json::value& unsaid :
       {json::value(nullptr), json::value(""), json::value("unknown")}) {
    info_["disk_format"] = unsaid;
    EXPECT_FALSE(taken().image.format);
  }
  for (const auto* name : {"ami", "iso9660", "QCOW2", "luks"}) {
    info_["disk_format"] = name;
    EXPECT_EQ(refused().type, "InvalidImage") << name;
  }
}

TEST_F(Order, PermittedFormats) {
  policy_.permitted_formats = {"raw", "gpt", "iso", "qcow2", "vpc", "vmdk", "ploop", "qcow2"};
  EXPECT_THAT(taken().image.permitted, ElementsAre(ImageFormat::raw, ImageFormat::qcow2,
                                                   ImageFormat::vhd, ImageFormat::vmdk));
  // An image of unsaid format is held to it as well; what is declared raw is not.
  info_["disk_format"] = nullptr;
  EXPECT_EQ(taken().image.permitted.size(), 4U);
  info_["disk_format"] = "raw";
  EXPECT_THAT(taken().image.permitted, IsEmpty());
}

TEST_F(Order, AnIsoIsWrittenAsItIsWhereItIsPermitted) {
  info_["disk_format"] = "iso";
  policy_.permitted_formats = {"raw", "qcow2"};
  EXPECT_EQ(refused().type, "InvalidImage");
  policy_.permitted_formats = {"raw", "qcow2", "iso"};
  EXPECT_EQ(taken().image.format, ImageFormat::raw);
}

TEST_F(Order, NoPermittedFormatIsNoPermission) {
  for (const std::vector<std::string>& formats :
       {std::vector<std::string>(), std::vector<std::string>{"ploop", "aki"}}) {
    policy_.permitted_formats = formats;
    info_["disk_format"] = "qcow2";
    EXPECT_EQ(refused().type, "InvalidImage");
    info_["disk_format"] = nullptr;
    EXPECT_EQ(refused().type, "InvalidImage");
    info_["disk_format"] = "raw";
    taken();
  }
}

TEST_F(Order, PartitionImagesAreRefused) {
  info_["image_type"] = "partition";
  EXPECT_EQ(refused().type, "InvalidImage");
  EXPECT_FALSE(check_image_info(info_, policy_));
  for (const json::value& other : {json::value("whole-disk"), json::value(nullptr)}) {
    info_["image_type"] = other;
    taken();
  }
}

TEST_F(Order, ConfigDrives) {
  EXPECT_EQ(taken().config_drive.config_drive, "");
  info_["configdrive"] = "H4sIAAAA";
  EXPECT_EQ(taken().config_drive.config_drive, "H4sIAAAA");
  EXPECT_EQ(taken("AAAA").config_drive.config_drive, "AAAA") << "the argument comes first";
  info_["configdrive"] = {{"user_data", "x"}};
  EXPECT_EQ(taken().config_drive.config_drive, "");
}

TEST_F(Order, BasicAuthorization) {
  info_["image_server_auth_strategy"] = "http_basic";
  info_["image_server_user"] = "user";
  info_["image_server_password"] = "S3CR3T";
  EXPECT_EQ(taken().transfer.user, "user");
  EXPECT_EQ(taken().transfer.password, "S3CR3T");
  EXPECT_EQ(taken().transfer.authorization, "");
  for (const auto* missing : {"image_server_user", "image_server_password"})
    for (const json::value& value : {json::value(nullptr), json::value("")}) {
      auto whole = info_;
      info_[missing] = value;
      const AgentError error = refused();
      EXPECT_EQ(error.type, "InvalidCommandParamsError");
      EXPECT_EQ(error.details.find("S3CR3T"), std::string::npos);
      info_ = std::move(whole);
    }
  for (const auto* none : {"noauth", ""}) {
    info_["image_server_auth_strategy"] = none;
    EXPECT_EQ(taken().transfer.user, "") << none;
  }
  info_["image_server_auth_strategy"] = "kerberos";
  EXPECT_EQ(refused().type, "InvalidCommandParamsError");
}

TEST_F(Order, AWholeAuthorizationComesBeforeBasic) {
  info_["image_server_auth_strategy"] = "http_basic";
  info_["image_server_user"] = "user";
  info_["image_server_password"] = "password";
  info_["image_request_authorization"] = "QmVhcmVyIGFiYw==";
  const WriteRequest request = taken();
  EXPECT_EQ(request.transfer.authorization, "Bearer abc");
  EXPECT_EQ(request.transfer.user, "");
  EXPECT_EQ(request.transfer.password, "");
  // Each length of the padding.
  for (const auto& [text, value] :
       {std::pair("QmVhcmVyIGFi", "Bearer ab"), std::pair("QmVhcmVyIGFiY2Q=", "Bearer abcd")}) {
    info_["image_request_authorization"] = text;
    EXPECT_EQ(taken().transfer.authorization, value);
  }
}

TEST_F(Order, WhatIsNoAuthorizationIsRefusedWithoutShowingIt) {
  for (const std::string bad :
       {"Bearer abc", "QmVhcmVyIGFiYw", "!!!!", "    ", "QmVhcm\r\n",
        "====", "QQ0KSG9zdDogeA==" /* "A\r\nHost: x" */, "QQA=" /* a zero byte */}) {
    info_["image_request_authorization"] = bad;
    const AgentError error = refused();
    EXPECT_EQ(error.type, "InvalidCommandParamsError") << bad;
    EXPECT_EQ(error.details.find("Bearer"), std::string::npos);
  }
  info_["image_request_authorization"] = std::string(128U << 10, 'Q');
  EXPECT_EQ(refused().type, "InvalidCommandParamsError");
}

TEST_F(Order, Proxies) {
  info_["proxies"] = {{"http", "proxy-a:3128"}, {"https", "http://proxy-b:3128"}};
  info_["no_proxy"] = ".example.com,10.0.0.1:8080";
  EXPECT_EQ(taken().transfer.proxy, "proxy-a:3128");
  EXPECT_EQ(taken().transfer.no_proxy, ".example.com,10.0.0.1:8080");
  for (const auto* secure : {"https://172.22.0.1/image", "HTTPS://172.22.0.1/image"}) {
    info_["urls"] = json::array{secure};
    EXPECT_EQ(taken().transfer.proxy, "http://proxy-b:3128") << secure;
  }
  info_["proxies"] = {{"http", "proxy-a:3128"}};
  EXPECT_EQ(taken().transfer.proxy, "");
  info_.erase("proxies");
  EXPECT_EQ(taken().transfer.no_proxy, "") << "only with proxies";
}

TEST_F(Order, HintsOfTheInstanceComeFirst) {
  EXPECT_EQ(root_device_hints_of({}), "");
  node_ = {{"properties", {{"root_device", {{"serial", "A"}}}}}};
  EXPECT_EQ(root_device_hints_of(node_), R"({"serial":"A"})");
  node_["instance_info"] = {{"root_device", {{"serial", "B"}}}};
  EXPECT_EQ(root_device_hints_of(node_), R"({"serial":"B"})");
  // An empty object counts as none.
  node_["instance_info"] = {{"root_device", json::object()}};
  EXPECT_EQ(root_device_hints_of(node_), R"({"serial":"A"})");
  node_["instance_info"] = {{"root_device", "serial"}};
  EXPECT_EQ(root_device_hints_of(node_), R"({"serial":"A"})");
  node_["instance_info"] = nullptr;
  node_["properties"] = nullptr;
  EXPECT_EQ(root_device_hints_of(node_), "");
}

TEST_F(Order, HintsChooseTheDisk) {
  node_ = {{"instance_info", {{"root_device", {{"serial", "s== A"}}}}}};
  const auto hints = taken().target.hints;
  disk::Disk disk;
  disk.name = "/dev/sda";
  disk.size = 8ULL << 30;
  disk.serial = "a";
  EXPECT_EQ(hints.value().why_not(disk), "");
  disk.serial = "B";
  EXPECT_NE(hints->why_not(disk), "");
}

TEST_F(Order, MalformedHintsAreDeviceErrors) {
  for (const json::object& hints :
       {json::object{{"colour", "red"}}, json::object{{"size", "many"}},
        json::object{{"rotational", "perhaps"}}, json::object{{"serial", json::array{"a"}}}}) {
    node_ = {{"instance_info", {{"root_device", hints}}}};
    EXPECT_EQ(refused().type, "DeviceNotFound") << json::serialize(hints);
  }
}

TEST_F(Order, OfAnOsImagesProperties) {
  json::object properties{{"metal3.vcluster.com/image-url", "https://host/image"},
                          {"metal3.vcluster.com/image-checksum", kSha256},
                          {"metal3.vcluster.com/image-checksum-type", "sha256"},
                          {"other", "thing"}};
  const auto order = [&](const json::object& of) {
    return write_request_of_properties(of, "AAAA", {options_, policy_, node_});
  };
  const auto request = order(properties);
  ASSERT_TRUE(request) << request.error().details;
  const auto permitted = std::exchange(policy_.permitted_formats, {"ploop"});
  EXPECT_EQ(order(properties).error().type, "InvalidImage");
  policy_.permitted_formats = permitted;
  EXPECT_THAT(request->image.urls, ElementsAre("https://host/image"));
  EXPECT_EQ(request->image.checksum.value_or_url, kSha256);
  EXPECT_EQ(request->image.checksum.type, DigestType::sha256);
  EXPECT_FALSE(request->image.format);
  EXPECT_EQ(request->config_drive.config_drive, "AAAA");
  EXPECT_FALSE(request->transfer.allow_file);
  properties.erase("metal3.vcluster.com/image-checksum-type");
  EXPECT_FALSE(order(properties).value().image.checksum.type);
  properties["metal3.vcluster.com/image-checksum-type"] = "crc32";
  EXPECT_EQ(order(properties).error().type, "InvalidCommandParamsError");
  properties.erase("metal3.vcluster.com/image-checksum");
  EXPECT_EQ(order(properties).error().type, "InvalidCommandParamsError");
  EXPECT_EQ(order({}).error().type, "InvalidCommandParamsError");
}

}  // namespace
}  // namespace ingot::agent
