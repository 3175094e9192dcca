#include "agent/machine/dmi.hpp"

#include <gtest/gtest.h>

#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

using namespace std::string_literals;

void put(std::string& data, std::size_t offset, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    data.at(offset + i) = static_cast<char>(value >> (8 * i) & 0xFFU);
}

std::string structure(std::uint8_t type, std::size_t length, std::uint16_t handle) {
  std::string data(length, '\0');
  put(data, 0, type, 1);
  put(data, 1, length, 1);
  put(data, 2, handle, 2);
  return data;
}

// An array of memory devices with a use: 3 is system memory, 5 flash.
std::string array(std::uint16_t handle, std::uint8_t use) {
  std::string data = structure(16, 0x17, handle);
  put(data, 0x05, use, 1);
  return data + "\0\0"s;
}

std::string device(std::uint16_t size, std::uint32_t extended = 0, std::uint16_t of = 0x1000) {
  std::string data = structure(17, 0x28, 0x1100);
  put(data, 0x04, of, 2);
  put(data, 0x0C, size, 2);
  put(data, 0x1C, extended, 4);
  put(data, 0x10, 1, 1);
  return data + "DIMM A1\0Bank 0\0\0"s;
}

std::string processor(const std::string& version) {
  std::string data = structure(4, 0x30, 0x0400);
  put(data, 0x10, 2, 1);
  return data + "CPU0\0"s + version + "\0\0"s;
}

std::optional<std::uint64_t> mib(const std::string& table) {
  return memory_devices_mib(parse_dmi(table));
}

TEST(Dmi, SumsTheMemoryDevices) {
  EXPECT_EQ(mib(array(0x1000, 3) + device(16384) + device(16384) + device(0)), 32768U);
  EXPECT_EQ(mib(array(0x1000, 3) + device(0x7FFF, 65536) + device(0xFFFF)), 65536U);
  EXPECT_EQ(mib(device(0x7FFF, 0x80010000U)), 65536U) << "the highest bit is reserved";
  EXPECT_EQ(mib(device(0x8000 | 2048)), 2U) << "in KiB";
  EXPECT_EQ(mib(array(0x1000, 3) + array(0x1001, 5) + device(1024) + device(16, 0, 0x1001)), 1024U)
      << "the firmware's flash";
  EXPECT_EQ(mib(array(0x1000, 3) + device(0)), std::nullopt);
  EXPECT_EQ(mib(structure(127, 4, 1) + "\0\0"s + device(1024)), std::nullopt) << "behind the end";
  EXPECT_EQ(mib(""), std::nullopt);
}

TEST(Dmi, TextsAreNumbered) {
  const auto table = parse_dmi(processor("Some CPU \xff Max"));
  EXPECT_EQ(processor_version(table), "Some CPU  Max");
  EXPECT_EQ(table.at(0).text(0x10), table.at(0).strings.at(1));
  EXPECT_EQ(table.at(0).text(0xFF), "");
  EXPECT_EQ(processor_version({}), "");
}

TEST(Dmi, DamagedTablesEndEarly) {
  const std::string good = array(0x1000, 3) + device(1024) + device(2048) + processor("X");
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    const auto sum = mib(good.substr(0, cut));
    EXPECT_TRUE(!sum || sum == 1024U || sum == 3072U) << cut;
  }
  std::string short_one = device(1024);
  short_one[1] = 3;  // shorter than a header
  EXPECT_TRUE(parse_dmi(short_one).empty());
  // Every byte of a good table replaced: any result, but no crash.
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char value : {'\x00', '\x01', '\x7f', '\xff'}) {
      std::string bad = good;
      bad[at] = value;
      const auto table = parse_dmi(bad);
      EXPECT_LE(table.size(), good.size() / 4);
      static_cast<void>(memory_devices_mib(table));
      static_cast<void>(processor_version(table));
    }
}

TEST(Dmi, ReadsEntriesOrElseTheTable) {
  test::HardwareTree tree;
  EXPECT_TRUE(read_dmi(tree.path("sys")).empty());
  tree.write("sys/firmware/dmi/tables/DMI", device(512));
  EXPECT_EQ(memory_devices_mib(read_dmi(tree.path("sys"))), 512U);
  tree.write("sys/firmware/dmi/entries/16-0/raw", array(0x1000, 3));
  tree.write("sys/firmware/dmi/entries/17-0/raw", device(1024).substr(0, 9));  // damaged
  tree.write("sys/firmware/dmi/entries/17-1/raw", device(2048));
  tree.write("sys/firmware/dmi/entries/15-0/raw", device(4096));  // the event log
  EXPECT_EQ(memory_devices_mib(read_dmi(tree.path("sys"))), 2048U);
}

TEST(Dmi, SystemVendor) {
  test::HardwareTree tree;
  EXPECT_EQ(read_system_vendor(tree.path("sys")).product_name, "");
  tree.write("sys/class/dmi/id/product_name", "Server X  \n");
  tree.write("sys/class/dmi/id/product_serial", "ABC\n");
  tree.write("sys/class/dmi/id/sys_vendor", "Vendor\n");
  tree.write("sys/class/dmi/id/bios_vendor", "Firmware Inc.\n");
  tree.write("sys/class/dmi/id/bios_version", "1.2\n");
  tree.write("sys/class/dmi/id/bios_date", "01/02/2026\n");
  const auto vendor = read_system_vendor(tree.path("sys"));
  EXPECT_EQ(vendor.product_name, "Server X");
  EXPECT_EQ(vendor.serial_number, "ABC");
  EXPECT_EQ(vendor.manufacturer, "Vendor");
  EXPECT_EQ(vendor.firmware_vendor, "Firmware Inc.");
  EXPECT_EQ(vendor.firmware_version, "1.2");
  EXPECT_EQ(vendor.firmware_build_date, "01/02/2026");
}

}  // namespace
}  // namespace ingot::agent
