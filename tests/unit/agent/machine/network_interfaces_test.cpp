#include "agent/machine/network_interfaces.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/machine/kernel_text.hpp"
#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

std::vector<std::string> names_of(const std::vector<NetworkInterface>& nics) {
  std::vector<std::string> names;
  for (const auto& nic : nics) names.push_back(nic.name);
  return names;
}

TEST(NetworkInterfaces, ListsHardwareBondsAndVlans) {
  test::HardwareTree tree;
  // The kernel's order is that of its indices, not of names.
  tree.nic("tzz9", "52:54:00:AA:BB:01", "0000:3b:00.0", "i40e");
  tree.nic("taa1", "52:54:00:aa:bb:02", "0000:3b:00.1", "i40e");
  tree.virtual_nic("tbond0", "52:54:00:aa:bb:01");
  tree.write("sys/class/net/tbond0/bonding/mode", "802.3ad 4\n");
  tree.virtual_nic("tbond0.100", "52:54:00:aa:bb:01");
  tree.virtual_nic("lo", "00:00:00:00:00:00");
  tree.virtual_nic("tbr0", "52:54:00:aa:bb:03");    // a bridge
  tree.virtual_nic("teth.x", "52:54:00:aa:bb:03");  // no VLAN
  tree.virtual_nic("teth.1x", "52:54:00:aa:bb:03");
  tree.virtual_nic(".1", "52:54:00:aa:bb:03");
  tree.nic("ttun0", "", "0000:3b:00.3", "tun");  // without a MAC
  tree.write("sys/class/net/bonding_masters", "tbond0\n");
  tree.write("sys/class/net/tzz9/carrier", "1\n");
  tree.write("sys/class/net/tzz9/speed", "10000\n");
  tree.write("sys/class/net/taa1/speed", "-1\n");
  tree.write("sys/class/net/taa1/carrier", "0\n");

  const auto nics = list_network_interfaces(tree.path("sys"));
  ASSERT_THAT(names_of(nics), testing::ElementsAre("tzz9", "taa1", "tbond0", "tbond0.100"));
  EXPECT_EQ(nics[0].mac_address, "52:54:00:aa:bb:01");
  EXPECT_TRUE(nics[0].has_carrier);
  EXPECT_EQ(nics[0].speed_mbps, 10000U);
  EXPECT_EQ(nics[0].vendor, "0x8086");
  EXPECT_EQ(nics[0].product, "0x1572");
  EXPECT_EQ(nics[0].pci_address, "0000:3b:00.0");
  EXPECT_EQ(nics[0].driver, "i40e");
  EXPECT_FALSE(nics[1].has_carrier);
  EXPECT_FALSE(nics[1].speed_mbps);
  EXPECT_FALSE(nics[2].has_carrier) << "cannot be read while it is down";
  EXPECT_EQ(nics[2].pci_address, "");
  EXPECT_EQ(nics[2].driver, "");
}

TEST(NetworkInterfaces, SpeedsThatAreNone) {
  test::HardwareTree tree;
  for (const char* speed : {"0", "4294967295", "-1", "fast", ""}) {
    tree.nic("t1", "52:54:00:aa:bb:01", "0000:3b:00.0", "i40e");
    tree.write("sys/class/net/t1/speed", speed);
    EXPECT_FALSE(list_network_interfaces(tree.path("sys")).at(0).speed_mbps) << speed;
    std::filesystem::remove_all(tree.path("sys"));
  }
}

TEST(NetworkInterfaces, AnInfinibandPortHasTheMacOfItsGuid) {
  test::HardwareTree tree;
  tree.nic("tib0", "80:00:02:08:fe:80:00:00:00:00:00:00:7C:fe:90:03:00:29:26:52", "0000:01:00.0",
           "mlx5_core");
  const auto nics = list_network_interfaces(tree.path("sys"));
  ASSERT_EQ(nics.size(), 1U);
  EXPECT_EQ(nics[0].mac_address, "7c:fe:90:29:26:52");
  EXPECT_EQ(nics[0].client_id, "ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:26:52");
}

// Whatever this machine has; a NIC's current address is its permanent one unless somebody set it.
TEST(NetworkInterfaces, ThisMachine) {
  for (const auto& nic : list_network_interfaces()) {
    EXPECT_NE(nic.name, "lo");
    EXPECT_THAT(nic.mac_address, testing::MatchesRegex("([0-9a-f][0-9a-f]:){5}[0-9a-f][0-9a-f]"));
    const std::string addresses = test::run("ip -o addr show dev " + nic.name);
    if (!nic.ipv4_address.empty()) {
      EXPECT_THAT(addresses, testing::HasSubstr("inet " + nic.ipv4_address + "/"));
    }
    if (!nic.ipv6_address.empty()) {
      EXPECT_THAT(addresses, testing::HasSubstr("inet6 " + nic.ipv6_address + "/"));
    }
  }
  EXPECT_TRUE(list_network_interfaces("/nonexistent").empty());
}

}  // namespace
}  // namespace ingot::agent
