#include "agent/machine/bmc.hpp"

#include <gtest/gtest.h>

#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes ipv6(std::uint8_t source, std::uint8_t status, std::uint8_t first = 0x20) {
  Bytes data(20, 0);
  data[1] = source;
  data[2] = first;
  data[3] = first == 0xFE ? 0x80 : 0x01;
  data[17] = 0x05;
  data[18] = 64;
  data[19] = status;
  return data;
}

TEST(Bmc, AddressesOfParameters) {
  EXPECT_EQ(lan_ipv4(Bytes{172, 22, 0, 5}), "172.22.0.5");
  EXPECT_EQ(lan_ipv4(Bytes{0, 0, 0, 0}), "");
  EXPECT_EQ(lan_ipv4(Bytes{172, 22, 0}), "");
  EXPECT_EQ(lan_mac(Bytes{0x52, 0x54, 0, 0, 0, 0xAB}), "52:54:00:00:00:ab");
  EXPECT_EQ(lan_mac(Bytes{0, 0, 0, 0, 0, 0}), "");
  EXPECT_EQ(lan_mac(Bytes{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), "");
  EXPECT_EQ(lan_mac(Bytes{0x52}), "");
}

TEST(Bmc, Ipv6InUse) {
  EXPECT_EQ(lan_ipv6(ipv6(0x02, 0), false), "2001::5");
  EXPECT_EQ(lan_ipv6(ipv6(0x80, 0), true), "2001::5");
  EXPECT_EQ(lan_ipv6(ipv6(0x00, 0), true), "") << "not enabled";
  EXPECT_EQ(lan_ipv6(ipv6(0x02, 1), false), "") << "disabled";
  EXPECT_EQ(lan_ipv6(ipv6(0x02, 3), false), "") << "failed";
  EXPECT_EQ(lan_ipv6(ipv6(0x01, 0, 0xFE), false), "") << "link-local";
  EXPECT_EQ(lan_ipv6(Bytes(20, 0), false), "");
  EXPECT_EQ(lan_ipv6(Bytes{}, false), "");
  const Bytes whole = ipv6(0x02, 0);
  EXPECT_EQ(lan_ipv6(std::span(whole).first(19), false), "");
}

TEST(Bmc, TheFirstChannelWithAnAddress) {
  const std::string none = "0.0.0.0", none6 = "::/0";
  EXPECT_EQ(choose_bmc_addresses({}), (BmcAddresses{none, none6, ""}));
  EXPECT_EQ(choose_bmc_addresses({{"", "m1", {}}, {"10.0.0.1", "m2", {}}, {"10.0.0.2", "m3", {}}}),
            (BmcAddresses{"10.0.0.1", none6, "m2"}));
  EXPECT_EQ(choose_bmc_addresses({{"", "m1", {"2001::1", "2001::2"}}, {"10.0.0.1", "m2", {}}}),
            (BmcAddresses{"10.0.0.1", "2001::1", "m1"}));
}

TEST(Bmc, NothingWithoutADevice) {
  test::HardwareTree tree;
  EXPECT_FALSE(read_bmc_addresses(tree.path("dev"), {}));
  tree.write("dev/ipmi0", "a file");
  EXPECT_FALSE(read_bmc_addresses(tree.path("dev"), {}));
}

// A device that is none: every command is refused, and nobody waits.
TEST(Bmc, ADeviceThatKnowsNoIpmi) {
  test::HardwareTree tree;
  tree.link("dev/ipmi0", "/dev/null");
  EXPECT_EQ(read_bmc_addresses(tree.path("dev"), {}), (BmcAddresses{"0.0.0.0", "::/0", ""}));
}

}  // namespace
}  // namespace ingot::agent
