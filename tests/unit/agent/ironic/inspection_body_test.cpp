#include "agent/ironic/inspection_body.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "tests/support/loop_device.hpp"
#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

std::set<std::string> keys(const json::value& object) {
  std::set<std::string> names;
  for (const auto& member : object.as_object()) names.emplace(member.key());
  return names;
}

class Inspection : public testing::Test {
 protected:
  Inspection() {
    tree.nic("tnic1", "52:54:00:aa:bb:01", "0000:3b:00.0", "i40e");
    tree.nic("tnic2", "52:54:00:aa:bb:02", "0000:3b:00.1", "i40e");
    tree.write("sys/class/net/tnic1/carrier", "1\n");
    tree.write("sys/class/net/tnic1/speed", "25000\n");
    tree.write("sys/devices/system/cpu/present", "0-1\n");
    tree.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3200000\n");
    tree.write("proc/cpuinfo", "processor : 0\nmodel name : Some CPU\nflags : fpu vme\n");
    tree.write("proc/meminfo", "MemTotal: 1048576 kB\n");
    tree.write("proc/cmdline", "BOOTIF=old x=1 BOOTIF=01-52-54-00-aa-bb-01 quiet\n");
    tree.write("proc/sys/kernel/hostname", "node-1\n");
    options.inventory.sysfs = tree.path("sys");
    options.inventory.proc = tree.path("proc");
    options.inventory.dev = tree.path("dev");
    options.lldp_timeout = std::chrono::milliseconds(100);
    options.logs.var_log = tree.path("log");
    options.logs.run = tree.path("run");
  }
  json::object body(const std::vector<std::string>& collectors) {
    const auto made = inspection_body(collectors, options, {});
    if (!made) {
      ADD_FAILURE() << made.error().message();
      return {};
    }
    notes = made->notes;
    return json::parse(made->json).as_object();
  }
  test::HardwareTree tree;
  InspectionOptions options;
  std::vector<std::string> notes;
};

TEST_F(Inspection, EveryFieldHasItsType) {
  const test::LoopDevice large(8ULL << 30), small(5ULL << 30), tiny(1ULL << 30);
  options.inventory.devices = {large.path(), small.path(), tiny.path()};
  const json::object all = body({"default"});
  EXPECT_EQ(keys(all), (std::set<std::string>{"inventory", "root_disk", "boot_interface",
                                              "configuration", "error"}));
  EXPECT_TRUE(all.at("error").is_null());
  EXPECT_EQ(all.at("boot_interface"), "01-52-54-00-aa-bb-01");
  EXPECT_EQ(all.at("configuration"), json::parse(R"({"collectors": ["default"],
                            "managers": [{"name": "generic_hardware_manager", "version": "1.2"}]})"));

  const json::object& node = all.at("inventory").as_object();
  EXPECT_EQ(keys(node),
            (std::set<std::string>{"interfaces", "cpu", "disks", "memory", "bmc_address",
                                   "bmc_v6address", "system_vendor", "boot", "hostname"}));
  EXPECT_EQ(node.at("interfaces").as_array().at(0), json::parse(R"({
    "name": "tnic1", "mac_address": "52:54:00:aa:bb:01", "ipv4_address": null,
    "ipv6_address": null, "has_carrier": true, "lldp": null, "vendor": "0x8086",
    "product": "0x1572", "client_id": null, "biosdevname": null, "speed_mbps": 25000,
    "pci_address": "0000:3b:00.0", "driver": "i40e"})"));
  const json::object& cpu = node.at("cpu").as_object();
  EXPECT_EQ(keys(cpu), (std::set<std::string>{"model_name", "frequency", "count", "architecture",
                                              "flags", "socket_count"}));
  EXPECT_EQ(cpu.at("frequency"), "3200.0000");
  EXPECT_EQ(cpu.at("count"), 2);
  EXPECT_EQ(cpu.at("flags"), json::parse(R"(["fpu", "vme"])"));
  EXPECT_TRUE(cpu.at("architecture").is_string());
  EXPECT_EQ(node.at("memory"), json::parse(R"({"total": 1073741824, "physical_mb": 1024})"));
  EXPECT_TRUE(node.at("bmc_address").is_null());
  EXPECT_TRUE(node.at("bmc_v6address").is_null());
  EXPECT_EQ(node.at("system_vendor"), json::parse(R"({"product_name": "", "serial_number": "",
    "manufacturer": "", "firmware": {"vendor": "", "version": "", "build_date": ""}})"));
  EXPECT_EQ(node.at("boot"), json::parse(R"({"current_boot_mode": "bios",
                                             "pxe_interface": "01-52-54-00-aa-bb-01"})"));
  EXPECT_EQ(node.at("hostname"), "node-1");

  const json::array& disks = node.at("disks").as_array();
  ASSERT_EQ(disks.size(), 3U);
  // In the order of their names; the loop devices' numbers are whichever were free.
  const auto named = [&disks](const std::string& path) {
    return *std::ranges::find_if(disks, [&path](const json::value& each) {
      return each.as_object().at("name").as_string() == path;
    });
  };
  const json::object disk = named(large.path()).as_object();
  EXPECT_EQ(keys(disk),
            (std::set<std::string>{"name", "model", "size", "rotational", "wwn", "serial", "vendor",
                                   "wwn_with_extension", "wwn_vendor_extension", "hctl", "by_path",
                                   "logical_sectors", "physical_sectors", "tran"}));
  EXPECT_TRUE(disk.at("size").is_int64());
  EXPECT_EQ(disk.at("size"), static_cast<std::int64_t>(8ULL << 30));
  EXPECT_TRUE(disk.at("rotational").is_bool());
  EXPECT_EQ(disk.at("logical_sectors"), 512);
  EXPECT_TRUE(disk.at("hctl").is_null());
  EXPECT_EQ(all.at("root_disk"), named(small.path())) << "the smallest of at least 4 GiB";
}

TEST_F(Inspection, NoRootDisk) {
  const test::LoopDevice tiny(1ULL << 30);
  options.inventory.devices = {tiny.path()};
  const json::object all = body({"default"});
  EXPECT_EQ(all.count("root_disk"), 0U);
  EXPECT_EQ(all.at("inventory").at("disks").as_array().size(), 1U);
  EXPECT_THAT(notes, ElementsAre(testing::HasSubstr("no root disk: ")));
}

TEST_F(Inspection, WhatIsMissingDoesNotFailIt) {
  options.inventory.devices = {"/dev/none-such"};
  options.inventory.sysfs = tree.path("none");
  options.inventory.proc = tree.path("none");
  const json::object all = body({"default"});
  EXPECT_TRUE(all.at("inventory").at("disks").as_array().empty());
  EXPECT_TRUE(all.at("inventory").at("interfaces").as_array().empty());
  EXPECT_TRUE(all.at("boot_interface").is_null());
  EXPECT_TRUE(all.at("inventory").at("boot").at("pxe_interface").is_null());
  EXPECT_EQ(all.at("inventory").at("cpu").at("frequency"), "");
  EXPECT_TRUE(all.at("error").is_null());
  EXPECT_THAT(notes, UnorderedElementsAre("no network interface was found",
                                          testing::HasSubstr("/dev/none-such")));
}

TEST_F(Inspection, OnlyTheCollectorsThatAreWanted) {
  options.inventory.boot_interface = "52:54:00:aa:bb:02";  // of virtual media: it wins
  std::filesystem::create_directories(tree.path("sys/firmware/efi"));
  const json::object all = body({"lldp", "dmi-decode", "logs", "default", "logs"});
  EXPECT_EQ(all.at("configuration").at("collectors"),
            json::parse(R"(["lldp", "logs", "default"])"));
  EXPECT_EQ(all.at("boot_interface"), "52:54:00:aa:bb:02");
  EXPECT_EQ(all.at("inventory").at("boot").at("current_boot_mode"), "uefi");
  EXPECT_TRUE(all.at("logs").as_string().starts_with("H4sI")) << "gzip in base64";
  EXPECT_TRUE(all.at("lldp_raw").as_object().empty());
  EXPECT_THAT(notes, testing::Contains("the collector \"dmi-decode\" is not known"));
  EXPECT_EQ(keys(body({"logs"})), (std::set<std::string>{"configuration", "error", "logs"}));
}

TEST_F(Inspection, TextsOfFirmwareAreMadeFitForJson) {
  tree.write("sys/class/dmi/id/product_name", "caf\xe9 \"x\"\x01\n");
  tree.write("proc/cmdline", "BOOTIF=\xff\xfe!");
  const json::object all = body({"default"});
  EXPECT_EQ(all.at("inventory").at("system_vendor").at("product_name"), "caf \"x\"");
  EXPECT_EQ(all.at("boot_interface"), "!");
}

TEST(InventoryJson, OfWhatOtherHardwareHas) {
  NodeInventory node;
  node.interfaces.emplace_back().name = "eno1";
  node.bmc = BmcAddresses{"172.22.0.5", "::/0", "52:54:00:00:00:05"};
  disk::Disk disk;
  disk.name = "/dev/sda";
  disk.size = 480103981056;
  disk.udev_serial_short = "SHORT";
  disk.udev_serial = "LONG_SHORT";
  disk.wwn = "0x5000";
  disk.udev_wwn = "0x6000";
  node.disks.disks = {disk};
  const auto all =
      json::parse(inventory_json(node, {{"eno1", {{1, std::string("\x04\x00\xff", 3)}, {2, ""}}}}));
  EXPECT_EQ(all.at("bmc_address"), "172.22.0.5");
  EXPECT_EQ(all.at("bmc_v6address"), "::/0");
  EXPECT_EQ(all.at("bmc_mac"), "52:54:00:00:00:05");
  EXPECT_EQ(all.at("interfaces").at(0).at("lldp"), json::parse(R"([[1, "0400ff"], [2, ""]])"));
  EXPECT_EQ(all.at("disks").at(0).at("serial"), "SHORT");
  EXPECT_EQ(all.at("disks").at(0).at("wwn"), "0x5000");
  EXPECT_EQ(all.at("disks").at(0).at("size"), 480103981056);
  node.bmc->mac.clear();
  EXPECT_FALSE(json::parse(inventory_json(node, {})).as_object().contains("bmc_mac"));
}

TEST_F(Inspection, IsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto made = inspection_body({"default", "lldp"}, options, stop.get_token());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::cancelled);
}

TEST(KernelParameter, TheLastOfSeveralWins) {
  test::HardwareTree tree;
  tree.write("proc/cmdline", "a=1 ab=2\ta=x=y b a=\n");
  EXPECT_EQ(kernel_parameter(tree.path("proc"), "a"), "");
  EXPECT_EQ(kernel_parameter(tree.path("proc"), "ab"), "2");
  EXPECT_EQ(kernel_parameter(tree.path("proc"), "b"), "");
  tree.write("proc/cmdline", "a=1 a=x=y");
  EXPECT_EQ(kernel_parameter(tree.path("proc"), "a"), "x=y");
}

}  // namespace
}  // namespace ingot::agent
