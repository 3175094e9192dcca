// The kernel command line's ingot.…= words.
#include "agent/provision/boot_parameters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/provision/write_order.hpp"

namespace ingot::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

ProvisionOptions parsed(const std::string& line) {
  ProvisionOptions options;
  const auto done = apply_boot_parameters(options, line);
  EXPECT_TRUE(done) << done.error().message();
  return options;
}

TEST(BootParameters, AWholeOrder) {
  const auto options = parsed(
      std::string("BOOT_IMAGE=/vmlinuz quiet ingot.image-url=http://a/x ingot.image-url=http://b/x "
                  "ingot.image-checksum=") +
      kSum +
      " ingot.image-checksum-type=sha256 ingot.image-format=qcow2 "
      "ingot.root-device-hints={\"serial\":\"S 1\"} ingot.report-url=http://c/r "
      "ingot.report-token-file=/t ingot.on-success=reboot ingot.on-success=poweroff "
      "ingot.user-data-url=http://a/u ingot.retry=90s ingot.recheck=5m ingot.allow-power "
      "ingot.tls-insecure=0 \"ingot.ca-cert=/my ca.pem\" ipa-api-url=http://x root=/dev/ram0\n");
  ASSERT_TRUE(options.order);
  EXPECT_THAT(options.order->urls, ElementsAre("http://a/x", "http://b/x"));
  EXPECT_EQ(options.order->checksum.value_or_url, kSum);
  EXPECT_EQ(options.order->checksum.type, DigestType::sha256);
  EXPECT_EQ(options.order->format, "qcow2");
  EXPECT_EQ(options.root_device_hints, R"({"serial":"S 1"})");
  EXPECT_EQ(options.report_url, "http://c/r");
  EXPECT_EQ(options.report_token_file, "/t");
  EXPECT_EQ(options.on_success, OnSuccess::poweroff);
  EXPECT_EQ(options.user_data_url, "http://a/u");
  ASSERT_TRUE(options.retry);
  EXPECT_EQ(options.retry->limit, std::chrono::seconds(90));
  EXPECT_EQ(options.recheck, std::chrono::minutes(5));
  EXPECT_TRUE(options.allow_power);
  EXPECT_FALSE(options.network.tls_insecure);
  EXPECT_EQ(options.network.ca_file, "/my ca.pem");
  EXPECT_TRUE(check(options)) << check(options).error().message();
}

TEST(BootParameters, HintsAreWrittenInThreeWays) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"size":">= 100","rotational":false})", R"({"size":">= 100","rotational":false})"},
      {"%7B%22serial%22:%22S%201%22%7D", R"({"serial":"S 1"})"},
      {"serial=S%201,size=>=%20100", R"({"serial":"S 1","size":">= 100"})"},
      {"rotational=false", R"({"rotational":"false"})"},
      {"name=/dev/sda", R"({"name":"/dev/sda"})"},
  };
  for (const auto& [text, json] : cases) EXPECT_EQ(hints_as_json(text).value(), json) << text;
  for (const char* text : {"serial", "=x", "serial=a,serial=b", "colour=red", "{", "[]", "%7B"}) {
    const auto json = hints_as_json(text);
    ASSERT_FALSE(json) << text << *json;
    EXPECT_EQ(json.error().code(), Errc::usage_hints) << text;
  }
}

TEST(BootParameters, HalfAnOrderIsNone) {
  for (const auto& [line, words] : std::vector<std::pair<std::string, std::string>>{
           {"ingot.image_url=http://a/x", "ingot.image_url is not known"},
           {"ingot.=x", "is not known"},
           {"ingot.from=", "has no value"},
           {"ingot.from", "has no value"},
           {"ingot.allow-power=", "has no value"},
           {"ingot.allow-power=maybe", "neither 1 nor 0"},
           {"ingot.image-format=iso", "none of auto"},
           {"ingot.image-checksum-type=crc", "none of md5"},
           {"ingot.retry=soon", "ingot.retry"},
           {"ingot.recheck=1ms", "less than a second"},
           {"ingot.root-device-hints=colour=red", "colour"}}) {
    ProvisionOptions options;
    const auto done = apply_boot_parameters(options, line);
    ASSERT_FALSE(done) << line;
    EXPECT_EQ(done.error().cls(), ErrorClass::usage);
    EXPECT_THAT(done.error().message(), HasSubstr(words));
  }
  const std::string image = std::string("ingot.image-url=http://a/x ingot.image-checksum=") + kSum;
  for (const auto& [line, words] : std::vector<std::pair<std::string, std::string>>{
           {"quiet", "nothing says"},
           {"ingot.from=ftp://a/x", "asked for by http, https or file"},
           {"ingot.from=192.0.2.1/x", "asked for by http, https or file"},
           {image, "no disk"},
           {image + " ingot.device=/dev/sda ingot.from=http://a/", "two orders"},
           {"ingot.from=http://a/ ingot.config-drive=http://a/c", "two orders"},
           {image + " ingot.device=/dev/sda ingot.root-device-hints=serial=1", "exclude"},
           {image + " ingot.device=/dev/sda ingot.token=a ingot.token-file=/b", "exclude"},
           {"ingot.image-url=http://a/x ingot.device=/dev/sda", "no checksum"},
           {"ingot.image-checksum=" + std::string(kSum) + " ingot.device=/dev/sda", "no image"},
           {"ingot.image-url=http://a/x ingot.image-checksum=abc ingot.device=/dev/sda", ""}}) {
    const auto good = check(parsed(line));
    ASSERT_FALSE(good) << line;
    EXPECT_EQ(good.error().cls(), ErrorClass::usage);
    EXPECT_THAT(good.error().message(), HasSubstr(words));
  }
  EXPECT_TRUE(check(parsed("ingot.from=HTTPS://a/")));
  EXPECT_TRUE(check(parsed("ingot.from=file:///a")));
  EXPECT_TRUE(check(parsed("ingot.from=http://a/ ingot.device=/dev/sda ingot.token=t")));
}

// What a request becomes.

DeployRequest request() {
  DeployRequest request;
  request.machine = "node-1";
  request.urls = {"http://a/x"};
  request.checksum = {kSum, DigestType::sha256};
  request.root_device_hints = R"({"serial": "S1"})";
  return request;
}

TEST(WriteOrder, WhoStartedUsNamesTheDiskElseTheRequest) {
  ProvisionOptions options;
  auto order = write_request(request(), options, false).value();
  EXPECT_TRUE(order.target.hints);
  EXPECT_EQ(order.target.device, "");
  EXPECT_FALSE(order.target.yes);
  EXPECT_FALSE(order.target.force);
  EXPECT_FALSE(order.transfer.allow_file);
  EXPECT_FALSE(order.config_drive.wanted());
  options.ram_disk = true;
  options.device = "/dev/null-to-be";
  order = write_request(request(), options, true).value();
  EXPECT_FALSE(order.target.hints);
  EXPECT_EQ(order.target.device, "/dev/null-to-be");
  EXPECT_TRUE(order.target.yes);
  EXPECT_TRUE(order.target.force);
  EXPECT_TRUE(order.transfer.allow_file);

  auto nothing = request();
  nothing.root_device_hints.clear();
  EXPECT_EQ(write_request(nothing, {}, false).error().code(), Errc::usage_manifest);
  nothing.device = "/etc/passwd";  // a regular file is no disk, whoever serves the request
  EXPECT_EQ(write_request(nothing, {}, true).error().code(), Errc::device_unsuitable);
  nothing.root_device_hints = "{}";
  EXPECT_EQ(write_request(nothing, {}, true).error().code(), Errc::usage_manifest);
}

TEST(WriteOrder, MetaDataSaysWhatTheRequestSaysElsewhere) {
  auto with_keys = request();
  with_keys.ssh_keys = {"ssh-ed25519 A a", "ssh-ed25519 B b"};
  auto texts = write_request(with_keys, {}, false).value().config_drive.texts;
  ASSERT_TRUE(texts);
  EXPECT_EQ(texts->meta_data, R"({"hostname":"node-1","public_keys":)"
                              R"({"key-0":"ssh-ed25519 A a","key-1":"ssh-ed25519 B b"}})");
  with_keys.meta_data = R"({"local-hostname":"n","public_keys":{"x":"y"}})";
  texts = write_request(with_keys, {}, false).value().config_drive.texts;
  EXPECT_EQ(texts->meta_data, with_keys.meta_data);
}

TEST(WriteOrder, TheFingerprintIsOfWhatEndsUpOnTheDisk) {
  const auto one = fingerprint(request(), {});
  EXPECT_EQ(one.size(), 64U);
  auto other = request();
  other.report_url = "http://c/other";
  other.report_token = "other";
  other.on_success = OnSuccess::poweroff;
  EXPECT_EQ(fingerprint(other, {}), one);
  other.user_data = "#cloud-config\n";
  EXPECT_NE(fingerprint(other, {}), one);
  ProvisionOptions device;
  device.device = "/dev/sdb";
  EXPECT_NE(fingerprint(request(), device), one);
}

}  // namespace
}  // namespace ingot::agent
