// Root device hints from their JSON: the table that Ironic's own matcher answers as well
// (tests/integration/test_root_device_hints.py), and what is no table's business.
#include "agent/job/root_device_hints.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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
  EXPECT_EQ(std::ranges::count(message, '\n'), 1) << message;
}

std::string no_match(const std::string& hints, const std::vector<disk::Disk>& disks) {
  const auto parsed = parse_root_device_hints(hints);
  EXPECT_TRUE(parsed) << hints;
  const auto chosen = parsed->choose(disks);
  EXPECT_FALSE(chosen);
  return chosen ? "" : chosen.error().message();
}

disk::Disk disk_with(const std::string& name, const std::string& serial, const std::string& wwn) {
  disk::Disk disk;
  disk.name = name;
  disk.size = 200ULL << 30;
  disk.vendor = "ATA";
  disk.model = "SSD 860";
  disk.serial = serial;
  disk.wwn = wwn;
  return disk;
}

TEST(RootDeviceHints, WithoutAMatchEveryDiskHasALineWithAHintThatChoosesIt) {
  std::vector<disk::Disk> disks = {
      disk_with("/dev/sda", "S1", "0x1"), disk_with("/dev/sdb", "S2", "0x2"),
      // Two paths to one disk, or a controller that repeats itself.
      disk_with("/dev/sdc", "S2", "0x3"), disk_with("/dev/sdd", "S4", "0x3"),
      disk_with("/dev/sde", "S2", "0x2"), disk_with("/dev/sdf", "S2", "")};
  disks[4].by_path = "/dev/disk/by-path/pci-1";
  const std::string message = no_match(R"({"tran": "sata", "size": ">= 400"})", disks);
  EXPECT_EQ(message,
            "no disk satisfies the root device hints; there are, each with the hint that it fails "
            "first:\n"
            "/dev/sda: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"wwn\": \"0x1\"}\n"
            "/dev/sdb: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"name\": \"/dev/sdb\"}\n"
            "/dev/sdc: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"name\": \"/dev/sdc\"}\n"
            "/dev/sdd: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"serial\": \"S4\"}\n"
            "/dev/sde: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"by_path\": \"/dev/disk/by-path/pci-1\"}\n"
            "/dev/sdf: tran is unknown, not sata (200.0 GiB, ATA SSD 860); "
            "to choose it: {\"name\": \"/dev/sdf\"}");

  // What the message says is true.
  std::size_t at = 0;
  for (const auto& disk : disks) {
    at = message.find("to choose it: ", at) + std::string("to choose it: ").size();
    EXPECT_EQ(outcome(message.substr(at, message.find('\n', at) - at), disks), disk.name);
  }
}

TEST(RootDeviceHints, WhatCannotBeCopiedFromAMessageIsNoHint) {
  // An expression, quotes of JSON and shell, an escape, letters outside ASCII, something too long.
  const std::vector<std::string> serials = {"!= x", "=",       "a\"b",      "a'b",
                                            "a\\b", "\x1b[1m", "S\xc3\xa9", std::string(200, 'x')};
  for (const std::string& serial : serials) {
    const std::string message = no_match(
        R"({"size": 1})", {disk_with("/dev/sda", serial, ""), disk_with("/dev/sdb", "", "")});
    EXPECT_NE(message.find("to choose it: {\"name\": \"/dev/sda\"}\n"), std::string::npos)
        << message;
  }
}

TEST(RootDeviceHints, OfManyDisksTheFirstAreListed) {
  std::vector<disk::Disk> disks;
  for (int i = 0; i < 3000; ++i)
    disks.push_back(disk_with("/dev/sd" + std::to_string(i), "S" + std::to_string(i), ""));
  const std::string message = no_match(R"({"size": 1})", disks);
  EXPECT_EQ(std::ranges::count(message, '\n'), 21);
  EXPECT_TRUE(message.ends_with("\nand 2980 more")) << message;
}

}  // namespace
}  // namespace ingot::agent
