// `ingot devices`: its words, its table and its JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <boost/json.hpp>

#include "agent/cli/command_line.hpp"
#include "agent/cli/device_report_text.hpp"
#include "agent/job/root_device_hints.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using disk::Disk;
using testing::HasSubstr;
using testing::Not;

Disk full_disk() {
  Disk disk;
  disk.name = "/dev/sda";
  disk.kname = "sda";
  disk.number = makedev(8, 16);
  disk.sequence = 9;
  disk.size = 465 * GiB;
  disk.type = "disk";
  disk.model = "Model A";
  disk.vendor = "ATA";
  disk.serial = "S1";
  disk.udev_serial_short = "S2";
  disk.udev_serial = "S3";
  disk.wwn = "0x1";
  disk.udev_wwn = "0x2";
  disk.wwn_with_extension = "0x3";
  disk.wwn_vendor_extension = "0x4";
  disk.hctl = "1:2:3:4";
  disk.by_path = "/dev/disk/by-path/b";
  disk.by_path_links = {"/dev/disk/by-path/a", "/dev/disk/by-path/b"};
  disk.by_id = {"/dev/disk/by-id/c"};
  disk.rotational = true;
  disk.removable = true;
  disk.read_only = true;
  disk.logical_sector = 512;
  disk.physical_sector = 4096;
  disk.transport = "sata";
  disk.table = "gpt";
  disk.table_id = "1C6D0B3A-0000-4000-8000-000000000001";
  disk.users = {"mounted on / (sda1)", "swap (sda2)", "part of md0 (sda3)", "part of md1 (sda4)"};
  disk.running_system = true;
  return disk;
}

Disk bare_disk() {
  Disk disk;
  disk.name = "/dev/nvme0n1";
  disk.kname = "nvme0n1";
  disk.number = makedev(259, 0);
  disk.size = 8 * GiB;
  disk.type = "disk";
  return disk;
}

DeviceReport hinted(const std::string& hints, std::vector<Disk> disks) {
  DeviceReport report;
  report.disks = std::move(disks);
  const auto parsed = parse_root_device_hints(hints);
  EXPECT_TRUE(parsed);
  HintedChoice choice;
  for (const Disk& disk : report.disks) choice.excluded_by.push_back(parsed->why_not(disk));
  const auto chosen = parsed->choose(report.disks);
  if (chosen)
    choice.chosen = chosen->name;
  else
    choice.no_match = chosen.error();
  report.choice = choice;
  return report;
}

TEST(Devices, EveryFieldIsInTheJsonUnderItsName) {
  const auto object = json::parse(to_json({{full_disk()}, {}}));
  const json::value expected = {
      {"disks", json::array{{{"name", "/dev/sda"},
                             {"kname", "sda"},
                             {"device_number", "8:16"},
                             {"sequence", 9},
                             {"type", "disk"},
                             {"size", 499289948160},
                             {"logical_sector_size", 512},
                             {"physical_sector_size", 4096},
                             {"rotational", true},
                             {"removable", true},
                             {"read_only", true},
                             {"transport", "sata"},
                             {"model", "Model A"},
                             {"vendor", "ATA"},
                             {"serial", "S1"},
                             {"udev_serial_short", "S2"},
                             {"udev_serial", "S3"},
                             {"wwn", "0x1"},
                             {"udev_wwn", "0x2"},
                             {"wwn_with_extension", "0x3"},
                             {"wwn_vendor_extension", "0x4"},
                             {"hctl", "1:2:3:4"},
                             {"by_path", "/dev/disk/by-path/b"},
                             {"by_path_links", {"/dev/disk/by-path/a", "/dev/disk/by-path/b"}},
                             {"by_id", json::array{"/dev/disk/by-id/c"}},
                             {"table", "gpt"},
                             {"table_id", "1C6D0B3A-0000-4000-8000-000000000001"},
                             {"users",
                              {"mounted on / (sda1)", "swap (sda2)", "part of md0 (sda3)",
                               "part of md1 (sda4)"}},
                             {"running_system", true}}}}};
  EXPECT_EQ(object, expected) << json::serialize(object);
}

TEST(Devices, WhatADiskDoesNotHaveIsNull) {
  const auto object = json::parse(to_json({{bare_disk()}, {}}));
  const auto& disk = object.at("disks").at(0).as_object();
  EXPECT_EQ(disk.size(),
            json::parse(to_json({{full_disk()}, {}})).at("disks").at(0).as_object().size());
  for (const char* key : {"sequence", "transport", "model", "vendor", "serial", "udev_serial_short",
                          "udev_serial", "wwn", "udev_wwn", "wwn_with_extension",
                          "wwn_vendor_extension", "hctl", "by_path", "table", "table_id"})
    EXPECT_TRUE(disk.at(key).is_null()) << key;
  for (const char* key : {"by_path_links", "by_id", "users"})
    EXPECT_EQ(disk.at(key), json::array()) << key;
}

TEST(Devices, TheTable) {
  EXPECT_EQ(
      to_text({{full_disk(), bare_disk()}, {}}),
      "NAME          SIZE       MEDIUM                     TRANSPORT  MODEL    SERIAL  TABLE  "
      "USED BY\n"
      "/dev/sda      465.0 GiB  hdd, removable, read-only  sata       Model A  S1      gpt    "
      "the running system: mounted on / (sda1), swap (sda2), part of md0 (sda3), 1 more\n"
      "/dev/nvme0n1  8.0 GiB    ssd                        -          -        -       -      "
      "-\n");
}

TEST(Devices, TheTableLinesUpWithLettersOfSeveralBytesAndKeepsEscapesOut) {
  Disk first = bare_disk(), second = bare_disk();
  first.model = "Größe";
  second.model = "a\x1b[31m";
  const std::string text = to_text({{first, second}, {}});
  EXPECT_THAT(text, HasSubstr("Größe   -"));
  EXPECT_THAT(text, HasSubstr("a?[31m  -"));
}

TEST(Devices, NoDisksAreSaid) {
  EXPECT_EQ(to_text({}), "This machine has no disks.\n");
  EXPECT_EQ(to_json(DeviceReport{}), R"({"disks":[]})");
}

TEST(Devices, TheChoiceOfHints) {
  Disk later = full_disk();
  later.name = "/dev/sdz";
  const auto report = hinted(R"({"size": ">= 400"})", {bare_disk(), full_disk(), later});
  EXPECT_THAT(to_text(report), HasSubstr("\nThe root device hints choose /dev/sda.\n"
                                         "  not /dev/nvme0n1: size is 8 GiB, not >= 400\n"
                                         "  not /dev/sdz: another one comes first\n"));
  const auto object = json::parse(to_json(report));
  EXPECT_EQ(object.at("chosen"), "/dev/sda");
  EXPECT_EQ(object.at("disks").at(0).at("excluded_by"), "size is 8 GiB, not >= 400");
  EXPECT_TRUE(object.at("disks").at(1).at("excluded_by").is_null());

  const auto none = hinted(R"({"serial": "S9"})", {full_disk()});
  EXPECT_TRUE(to_text(none).ends_with("choose no disk.\n")) << to_text(none);
  EXPECT_TRUE(json::parse(to_json(none)).at("chosen").is_null());
}

TEST(Devices, TheCommandLine) {
  auto command = parse_command_line(
      {"devices", "/dev/loop0", "-o", "json", "/dev/sda", "--root-device-hints", "{}"});
  ASSERT_TRUE(command) << command.error().message();
  const auto& options = std::get<DevicesOptions>(*command);
  EXPECT_THAT(options.devices, testing::ElementsAre("/dev/loop0", "/dev/sda"));
  EXPECT_EQ(options.root_device_hints, "{}");
  EXPECT_TRUE(options.json);
  command = parse_command_line({"devices"});
  ASSERT_TRUE(command);
  EXPECT_TRUE(std::get<DevicesOptions>(*command).devices.empty());
  EXPECT_FALSE(std::get<DevicesOptions>(*command).root_device_hints);
  EXPECT_FALSE(parse_command_line({"devices", "-o", "xml"}));
  EXPECT_FALSE(parse_command_line({"devices", "--root-device-hints"}));
  EXPECT_FALSE(parse_command_line({"devices", "--root-device-hints", ""}));
}

TEST(Devices, WrongHintsAreRefusedBeforeAnyDiskIsLookedAt) {
  const auto report = look_at_devices({"/nowhere"}, R"({"colour": "red"})");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::usage_hints);
}

}  // namespace
}  // namespace ingot::agent
