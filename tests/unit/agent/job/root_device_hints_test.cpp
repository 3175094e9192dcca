// Root device hints from their JSON: the table that Ironic's own matcher answers as well
// (tests/integration/test_root_device_hints.py), and what is no table's business.
#include "agent/job/root_device_hints.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/disk_from_json.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

json::object table() {
  std::ifstream file(INGOT_SOURCE_DIR "/tests/support/root_device_hints.json");
  std::ostringstream text;
  text << file.rdbuf();
  return json::parse(text.str()).as_object();
}

std::string outcome(const std::string& hints, const std::vector<disk::Disk>& disks) {
  const auto parsed = parse_root_device_hints(hints);
  if (!parsed) {
    EXPECT_EQ(parsed.error().code(), Errc::usage_hints);
    EXPECT_FALSE(parsed.error().advice().empty());
    return "invalid";
  }
  const auto chosen = parsed->choose(disks);
  if (chosen) {
    EXPECT_EQ(parsed->why_not(*chosen), "") << chosen->name;
    return chosen->name;
  }
  EXPECT_EQ(chosen.error().code(), Errc::device_no_match);
  for (const auto& disk : disks)
    EXPECT_NE(chosen.error().message().find(disk.name + ": "), std::string::npos)
        << chosen.error().message();
  return "none";
}

TEST(RootDeviceHints, TheTable) {
  const json::object all = table();
  ASSERT_GE(all.at("cases").as_array().size(), 80U);
  for (const auto& one : all.at("cases").as_array()) {
    const auto& inventory = all.at("inventories").as_object().at(one.at("on").as_string());
    const std::string hints = json::serialize(one.at("hints"));
    EXPECT_EQ(outcome(hints, test::disks_from_json(inventory.as_array())),
              one.at("outcome").as_string())
        << hints << " on " << one.at("on");
  }
}

TEST(RootDeviceHints, WhatIsNoJsonObjectIsRefused) {
  for (const std::string text :
       {"", "null", "[]", "\"name\"", "5", "{", "{}}", "{\"name\": \"a\"", "{name: 'a'}",
        "{\"size\": 1e400}", "{\"size\": 18446744073709551615}",
        "{\"name\": {\"a\": {\"b\": {\"c\": {\"d\": {}}}}}}"})
    EXPECT_EQ(outcome(text, {}), "invalid") << text;
  EXPECT_EQ(outcome(std::string(100'000, '['), {}), "invalid");
  EXPECT_EQ(outcome("{\"name\": \"" + std::string(5000, 'a') + "\"}", {}), "invalid");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += (i > 0 ? ",\"x" : "\"x") + std::to_string(i) + "\": 1";
  EXPECT_EQ(outcome(many + "}", {}), "invalid");
}

TEST(RootDeviceHints, ADiskInUseIsNotHidden) {
  disk::Disk used;
  used.name = "/dev/sda";
  used.size = 1ULL << 40;
  used.running_system = true;
  EXPECT_EQ(outcome("{}", {used}), "/dev/sda");
  EXPECT_EQ(outcome(R"({"name": "/dev/sda"})", {used}), "/dev/sda");
}

TEST(RootDeviceHints, AnyOfSeveralLinksIsTheDisks) {
  disk::Disk one;
  one.name = "/dev/sda";
  one.by_path = "/dev/disk/by-path/a-ata-1";
  one.by_path_links = {"/dev/disk/by-path/a-ata-1", "/dev/disk/by-path/a-ata-1.0"};
  for (const auto& link : one.by_path_links)
    EXPECT_EQ(outcome("{\"by_path\": \"s== " + link + "\"}", {one}), "/dev/sda") << link;
}

TEST(RootDeviceHints, AMessageHoldsNoControlCharacters) {
  disk::Disk one;
  one.name = "/dev/sda";
  one.model = "\x1b[31mred\n";
  const auto hints = parse_root_device_hints(R"({"model": "\u001b[0m"})");
  ASSERT_TRUE(hints);
  const std::string message = hints->choose({one}).error().message();
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace
}  // namespace ingot::agent
