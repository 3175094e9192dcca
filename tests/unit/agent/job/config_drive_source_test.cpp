// load_config_drive(): what --config-drive, --user-data, --meta-data and --network-data mean.
#include "agent/job/config_drive_source.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "agent/job/config_drive_files.hpp"
#include "agent/process/secrets.hpp"
#include "tests/support/config_drive_files.hpp"
#include "tests/support/fault_server.hpp"

namespace ingot::agent {
namespace {

using test::FileMap;

const FileMap kFiles = {{"openstack/latest/meta_data.json", R"({"uuid":"x"})"}};
constexpr const char* kNetwork =
    "links:\n- {id: l0, type: phy, ethernet_mac_address: '52:54:00:12:34:56'}\n"
    "networks:\n- {id: n0, type: ipv4, link: l0, ip_address: 10.0.0.2, netmask: 255.0.0.0}\n"
    "services:\n- {type: dns, address: 10.0.0.1}\n";

class ConfigDriveSource : public testing::Test {
 protected:
  Result<std::optional<imaging::ConfigDrive>> load(const ConfigDriveOptions& options) {
    imaging::TransferOptions transfer;
    transfer.retry_deadline = std::chrono::milliseconds(500);
    return load_config_drive(options, transfer, {});
  }
  std::string file(const std::string& name, std::string_view text) {
    test::write_text(dir_.path(name), text);
    return dir_.path(name);
  }
  void refused(const ConfigDriveOptions& options, Errc code, const std::string& reason) {
    const auto drive = load(options);
    ASSERT_FALSE(drive) << reason;
    EXPECT_EQ(drive.error().code(), code) << drive.error().message();
    EXPECT_NE(drive.error().message().find(reason), std::string::npos) << drive.error().message();
    EXPECT_EQ(drive.error().message().find("hunter2"), std::string::npos)
        << drive.error().message();
  }
  // The drive's file of that name, parsed.
  boost::json::object built(const ConfigDriveOptions& options, const std::string& name) {
    const auto drive = load(options);
    EXPECT_TRUE(drive) << drive.error().message();
    if (!drive || !*drive) return {};
    FileMap files = test::files_of_fat(dir_, **drive);
    return boost::json::parse(files["openstack/latest/" + name]).as_object();
  }

  test::TempDir dir_;
};

TEST_F(ConfigDriveSource, NothingAskedForIsNothing) {
  const auto drive = load({});
  ASSERT_TRUE(drive);
  EXPECT_FALSE(*drive);
}

TEST_F(ConfigDriveSource, FileUrlTextAndStandardInput) {
  const auto iso = test::make_iso(dir_, kFiles);
  test::write_file(dir_.path("drive"), iso);
  const std::string text = test::run("gzip -c '" + dir_.path("drive") + "' | base64 -w0");
  file("text", text);
  const auto same = [&](const std::string& value) {
    const auto drive = load({.config_drive = value});
    ASSERT_TRUE(drive) << drive.error().message();
    ASSERT_TRUE(*drive);
    EXPECT_TRUE(std::ranges::equal((*drive)->image, iso));
  };
  same(dir_.path("drive"));
  same(dir_.path("text"));
  same("file://" + dir_.path("drive"));
  const test::TestDirectory root;
  root.write("drive.iso", iso);
  root.write("drive.txt", test::read_file(dir_.path("text")));
  const test::FaultServer server(root);
  same(server.url() + "/drive.iso");
  same("HTTP" + server.url().substr(4) + "/drive.txt");
  same(text);
  const UniqueFd stdin_before(::dup(STDIN_FILENO)), in(::open(dir_.path("text").c_str(), O_RDONLY));
  ::dup2(in.get(), STDIN_FILENO);
  same("-");
  ::dup2(stdin_before.get(), STDIN_FILENO);
}

TEST_F(ConfigDriveSource, WhatIsNoneIsRefusedByName) {
  refused({.config_drive = dir_.path("missing.iso")}, Errc::usage_config_drive,
          "missing.iso: No such file");
  refused({.config_drive = "hunter2hunter2"}, Errc::usage_config_drive, "base64 text");
  refused({.config_drive = file("page", "<html>hunter2</html>")}, Errc::usage_config_drive,
          "page: the config drive: it is a web page");
  refused({.config_drive = file("empty", "")}, Errc::usage_config_drive, "it is empty");
  refused({.config_drive = dir_.path("")}, Errc::usage_config_drive, "reading");
  refused({.config_drive = "http://user:hunter2@127.0.0.1:1/x"}, Errc::source_deadline,
          "--config-drive");
  test::run("truncate -s 97M '" + dir_.path("large") + "'");
  refused({.config_drive = dir_.path("large")}, Errc::usage_config_drive, "larger than");
  refused({.config_drive = dir_.path("page"), .user_data = dir_.path("page")}, Errc::usage_option,
          "together");
  refused({.user_data = "-", .meta_data = "-"}, Errc::usage_option, "standard input");
  refused({.user_data = dir_.path("none")}, Errc::usage_config_drive, "--user-data: reading");
}

TEST_F(ConfigDriveSource, MetaDataOfBothNamings) {
  const auto yaml = built({.meta_data = file("m",
                                             "instance-id: i-42\nlocal-hostname: node-1\n"
                                             "public-keys: [ssh-ed25519 AAAA]\nrack: 7\n")},
                          "meta_data.json");
  EXPECT_EQ(yaml.at("uuid"), "i-42");
  EXPECT_EQ(yaml.at("hostname"), "node-1");
  EXPECT_EQ(yaml.at("public_keys").as_array().at(0), "ssh-ed25519 AAAA");
  EXPECT_EQ(yaml.at("rack"), 7);
  EXPECT_FALSE(yaml.contains("instance-id"));
  const auto json =
      built({.meta_data = file("m", R"({"uuid":"u","instance-id":"i","x":[1.5,null,true]})")},
            "meta_data.json");
  EXPECT_EQ(json.at("uuid"), "u");
  EXPECT_EQ(boost::json::serialize(json.at("x")), "[1.5E0,null,true]");
  const auto number = built({.meta_data = file("m", "instance-id: 42\n")}, "meta_data.json");
  EXPECT_EQ(number.at("uuid"), "42");
}

TEST_F(ConfigDriveSource, AUuidIsMadeWhereThereIsNone) {
  const ConfigDriveOptions options{.user_data = file("u", "#cloud-config\n")};
  const auto first = built(options, "meta_data.json"), second = built(options, "meta_data.json");
  EXPECT_EQ(first.at("uuid").as_string().size(), 36U);
  EXPECT_NE(first.at("uuid"), second.at("uuid"));
}

TEST_F(ConfigDriveSource, UserDataArrivesAsItIs) {
  const std::string text(
      "\0\x01\r\n\xff"
      "binary",
      11);
  const auto drive = load({.user_data = file("u", text)});
  ASSERT_TRUE(drive && *drive);
  EXPECT_EQ(test::files_of_fat(dir_, **drive)["openstack/latest/user_data"], text);
  EXPECT_FALSE(test::files_of_fat(dir_, **drive).contains("openstack/latest/network_data.json"));
}

TEST_F(ConfigDriveSource, TextsOfARequestAndFilesOfAServer) {
  ConfigDriveOptions texts;
  texts.texts = ConfigDriveTexts{"#!/bin/sh\n", "instance-id: i", kNetwork};
  EXPECT_EQ(built(texts, "meta_data.json").at("uuid").as_string(), "i");
  EXPECT_TRUE(built(texts, "network_data.json").contains("links"));
  texts.texts->meta_data = "{hunter2";
  refused(texts, Errc::usage_config_drive, "the request's meta data");
  texts.texts->meta_data.clear();
  texts.user_data = file("user-data", "x");
  refused(texts, Errc::usage_option, "another one");

  const test::TestDirectory root;
  root.write("meta-data", test::read_file(file("served", R"({"uuid": "served"})")));
  const test::FaultServer server(root);
  EXPECT_EQ(built({.meta_data = server.url() + "/meta-data"}, "meta_data.json").at("uuid"),
            "served");
  refused({.user_data = server.url() + "/none?key=hunter2"}, Errc::source_http_status,
          "--user-data");
}

TEST_F(ConfigDriveSource, NetworkDataOfOpenStacksForm) {
  const auto network = built({.network_data = file("n", kNetwork)}, "network_data.json");
  EXPECT_EQ(network.at("networks").at(0).at("ip_address"), "10.0.0.2");
  EXPECT_EQ(network.at("links").at(0).at("ethernet_mac_address"), "52:54:00:12:34:56");
}

TEST_F(ConfigDriveSource, OtherNetworkFormsAreRefusedByName) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n", "netplan"},
      {"version: 2\nethernets: {}\n", "netplan"},
      {"network: {renderer: networkd, bonds: {}}\n", "netplan"},
      {"version: 1\nconfig: []\n", "version 1"},
      {"network: {config: disabled}\n", "version 1"},
      {"interfaces: [{name: eth0}]\n", "nmstate"},
      {"{}", "no list called 'links'"},
      {"auto eth0\n", "neither a JSON object nor a YAML map"},
      {"[1]", "neither a JSON object nor a YAML map"},
      {"links: hunter2\n", "no list called 'links'"},
      {"links: [hunter2]\n", "links[0] is no map"},
      {"links: [{id: a}]\n", "links[0] has no 'type'"},
      {"links: [{id: a, type: bond}]\n", "bond_links"},
      {"links: [{id: a, type: vlan, vlan_id: 1, vlan_link: b}]\n", "vlan_mac_address"},
      {"links: [{id: a, type: phy}]\nnetworks: [{link: hunter2, type: ipv4}]\n", "no link's 'id'"},
      {"links: [{id: a, type: phy}]\nnetworks: [{link: a}]\n", "networks[0] has no 'type'"},
      {"links: []\nservices: 1\n", "services"},
      {"links: [\n", "line "},
      {"a: .inf\n", "line 1: a number that JSON cannot hold"},
      {"hunter2: 1\nhunter2: 2\n", "line 2"},
      {"a: &x hunter2\n", "anchors"},
      {"", "no document"}};
  for (const auto& [text, reason] : cases)
    refused({.network_data = file("n", text)}, Errc::usage_config_drive, reason);
  refused({.network_data = file("n", std::string(1100 * 1024, ' '))}, Errc::usage_config_drive,
          "1 MiB");
  refused({.meta_data = file("m", "uuid: [hunter2]\n")}, Errc::usage_config_drive,
          "'uuid' is no string");
}

TEST(ConfigDriveSecrets, Base64TextIsScrubbedAndNeverQuoted) {
  const std::string text(3000, 'H');
  const auto scrubbed = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    scrub_arguments(static_cast<int>(argv.size()), argv.data());
    return words;
  };
  const std::string stars(3000, '*');
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", text})[2], stars);
  EXPECT_EQ(scrubbed({"ingot", "--config-drive=" + text})[1], "--config-drive=" + stars);
  EXPECT_EQ(scrubbed({"ingot", text})[1], stars);
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", "c2VjcmV0"})[2], "********");
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", "/dev/null"})[2], "/dev/null");
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", "drive.iso"})[2], "drive.iso");
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", "-"})[2], "-");
  EXPECT_EQ(scrubbed({"ingot", "--config-drive", "https://host/x"})[2], "https://host/x");
  EXPECT_EQ(scrubbed({"ingot", "--device", "disk"})[2], "disk");
  EXPECT_EQ(redact_text("not expected: " + text + " --x"), "not expected: *** --x");
  EXPECT_EQ(redact_text("--config-drve=" + text), "--config-drve=***");
}

}  // namespace
}  // namespace ingot::agent
