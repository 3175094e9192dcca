// Deploy requests: written as YAML and JSON, read back the same, and refused where half of one
// would be understood.
#include "agent/resolution/deploy_request.hpp"

#include <gtest/gtest.h>

#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

DeployRequest full() {
  DeployRequest request;
  request.machine = "worker-1";
  request.os_image = "ubuntu-noble";
  request.urls = {"https://example.org/a.img", "http://mirror.example.org/a.img?x=%20"};
  request.checksum = {"d41d8cd98f00b204e9800998ecf8427e", DigestType::md5};
  request.format = "qcow2";
  request.device = "/dev/disk/by-id/x: y";
  request.root_device_hints = R"({"size":">= 400","rotational":false,"hctl":"1:0:0:0","n":12})";
  request.user_data =
      "#cloud-config\nruncmd:\n  - [sh, -c, \"echo 'yes' #no\"]\n\twith a tab\n\n  é 😀\n"
      "  last line";
  request.meta_data = R"({"uuid":"no","list":[1,"1",null,true,{}],"text":"a\nb\u0001"})";
  request.network_data = "version: 2\nethernets:\n  eth0: {dhcp4: true}\n";
  request.ssh_keys = {"ssh-ed25519 AAAA me@here", "ssh-rsa BBBB"};
  request.dns_servers = {"10.0.0.1", "fd00::1"};
  request.server_name = "server-1";
  request.report_url = "/v1/machines/worker-1/events";
  request.report_token = "123456";
  request.on_success = OnSuccess::kexec;
  return request;
}

void expect_equal(const DeployRequest& a, const DeployRequest& b) {
  EXPECT_EQ(a.machine, b.machine);
  EXPECT_EQ(a.os_image, b.os_image);
  EXPECT_EQ(a.urls, b.urls);
  EXPECT_EQ(a.checksum.value_or_url, b.checksum.value_or_url);
  EXPECT_EQ(a.checksum.type, b.checksum.type);
  EXPECT_EQ(a.format, b.format);
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(a.root_device_hints, b.root_device_hints);
  EXPECT_EQ(a.user_data, b.user_data);
  EXPECT_EQ(a.meta_data, b.meta_data);
  EXPECT_EQ(a.network_data, b.network_data);
  EXPECT_EQ(a.ssh_keys, b.ssh_keys);
  EXPECT_EQ(a.dns_servers, b.dns_servers);
  EXPECT_EQ(a.server_name, b.server_name);
  EXPECT_EQ(a.report_url, b.report_url);
  EXPECT_EQ(a.report_token, b.report_token);
  EXPECT_EQ(a.on_success, b.on_success);
}

TEST(DeployRequest, IsReadBackAsItWasWritten) {
  DeployRequest least;
  least.urls = {"file:///srv/a.raw"};
  // Everything that YAML treats in its own way somewhere in a text.
  const std::string texts[] = {"one line",
                               "one line\n",
                               "\n\nfirst lines empty\n",
                               "ends\n\n\n",
                               "\n",
                               "  indented\nx\n",
                               "\ttab\nx",
                               "trailing \nx \n",
                               "crlf\r\nx",
                               "- a\n- b",
                               "---\n...\n",
                               "\xE2\x80\xA8x",
                               "# comment\n",
                               "yes",
                               "0777"};
  for (const auto& text : texts) {
    DeployRequest request = full();
    request.user_data = text;
    for (const auto& one : {request, least}) {
      for (const std::string& document : {write_yaml(to_document(one)), to_json(one)}) {
        const auto back = parse_deploy_request(document, "it");
        ASSERT_TRUE(back) << back.error().message() << '\n' << document;
        expect_equal(one, *back);
      }
    }
  }
  for (const std::string& document : {write_yaml(to_document(full())), to_json(full())}) {
    const auto back = parse_deploy_request(document, "it");
    ASSERT_TRUE(back) << back.error().message() << '\n' << document;
    expect_equal(full(), *back);
  }
  // Readable, where it can be.
  EXPECT_NE(write_yaml(to_document(full()))
                .find("    userData: |-\n      #cloud-config\n      runcmd:\n"),
            std::string::npos)
      << write_yaml(to_document(full()));
}

TEST(DeployRequest, MayBeWrittenByOthers) {
  // As Python's json module writes an emoji.
  const auto json = parse_deploy_request(
      R"({"apiVersion": "ingot.io/v1", "kind": "DeployRequest", "metadata": {"name": "m"},
          "spec": {"image": {"urls": ["http:\/\/h/a"], "checksum": null},
                   "target": {"rootDeviceHints": "{\"name\": \"\/dev\/sda\"}"},
                   "configDrive": {"userData": "\ud83d\ude00 \\ud83d\\ude00 \u00e9",
                                   "networkData": {"links": []}}}})",
      "j");
  ASSERT_TRUE(json) << json.error().message();
  EXPECT_EQ(json->user_data, "😀 \\ud83d\\ude00 é");
  EXPECT_EQ(json->urls.front(), "http://h/a");
  EXPECT_EQ(json->root_device_hints, R"({"name":"/dev/sda"})");
  EXPECT_EQ(json->network_data, R"({"links":[]})");
  EXPECT_FALSE(json->on_success);

  const auto image = parse_deploy_request(
      "apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata: {name: noble}\nspec:\n"
      "  properties:\n    metal3.vcluster.com/image-url: http://h/a\n"
      "    metal3.vcluster.com/image-checksum: d41d8cd98f00b204e9800998ecf8427e\n",
      "o");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->os_image, "noble");
  EXPECT_EQ(image->urls, std::vector<std::string>{"http://h/a"});
  EXPECT_EQ(image->checksum.value_or_url, "d41d8cd98f00b204e9800998ecf8427e");
}

TEST(DeployRequest, IsRefusedWithLineAndField) {
  constexpr std::string_view kHead = "apiVersion: ingot.io/v1\nkind: DeployRequest\nspec:\n";
  const std::pair<std::string, std::string> wrong[] = {
      {"  image: {urls: [http://h/a]}\n  devise: /dev/sda\n", "r:5: spec.devise: no such field"},
      {"  image: {urls: []}\n", "r:4: spec.image.urls: no URL"},
      {"  osImage: a\n", "r:4: spec.image: missing"},
      {"  image: {urls: [ftp://h/a]}\n", "r:4: spec.image.urls: not an http"},
      {"  image: {urls: http://h/a}\n", "spec.image.urls: a list is wanted"},
      {"  image:\n    urls: [http://h/a]\n    checksumType: sha1\n",
       "r:6: spec.image.checksumType: none of"},
      {"  image: {urls: [http://h/a], checksumType: sha256}\n", "without a checksum"},
      {"  image: {urls: [http://h/a], checksum: abc}\n", "r:4: spec.image.checksum: "},
      {"  image: {urls: [http://h/a], format: iso}\n", "spec.image.format: none of"},
      {"  image: {urls: [http://h/a]}\n  onSuccess: halt\n", "r:5: spec.onSuccess: none of"},
      {"  image: {urls: [http://h/a]}\n  target: {rootDeviceHints: '[1]'}\n", "r:5: spec.target"},
      {"  image: {urls: [http://h/a]}\n  serverName: 12\n", "put it in quotes"},
      {"  image: {urls: [http://h/a]}\n  report: {url: /e, token: \"a\\r\\nX: y\"}\n",
       "r:5: spec.report.token: a line end"},
  };
  for (const auto& [spec, words] : wrong) {
    const auto request = parse_deploy_request(std::string(kHead) + spec, "r");
    ASSERT_FALSE(request) << spec;
    EXPECT_EQ(request.error().code(), Errc::usage_manifest);
    EXPECT_NE(request.error().message().find(words), std::string::npos)
        << request.error().message() << "\nwanted " << words;
  }
  for (const auto* text : {"", "[]", "a: b", "kind: Pod",
                           "apiVersion: ingot.io/v2\nkind: "
                           "DeployRequest\nspec: {}"})
    EXPECT_FALSE(parse_deploy_request(text, "r")) << text;
  // A secret is in no message.
  const auto secret = parse_deploy_request(
      std::string(kHead) + "  image: {urls: [http://h/a]}\n  report: {token: [hunter2]}\n", "r");
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().message().find("hunter2"), std::string::npos);
}

TEST(DeployRequest, NamesItsActions) {
  for (const auto action :
       {OnSuccess::reboot, OnSuccess::poweroff, OnSuccess::kexec, OnSuccess::none})
    EXPECT_EQ(parse_on_success(name(action)), action);
  EXPECT_FALSE(parse_on_success("halt"));
}

}  // namespace
}  // namespace ingot::agent
