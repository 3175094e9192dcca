// By what a server knows this machine, and the kernel command line's words.
#include "agent/machine/host_identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/machine/kernel_command_line.hpp"
#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

HostIdentity machine() {
  HostIdentity identity;
  identity.macs = {"52:54:00:aa:00:01", "52:54:00:aa:00:02"};
  identity.system_uuid = "4c4c4544-0051-3610-8052-b4c04f4e3332";
  identity.serial_number = "S 1/ü";
  identity.host_name = "node-1";
  return identity;
}

TEST(HostIdentity, IsReadWithTheBootNicFirst) {
  test::HardwareTree tree;
  tree.nic("nic-a", "52:54:00:aa:00:01", "0000:00:01.0", "e1000e");
  tree.nic("nic-b", "52:54:00:aa:00:02", "0000:00:02.0", "e1000e");
  tree.nic("nic-c", "52:54:00:aa:00:03", "0000:00:03.0", "e1000e");
  tree.write("sys/class/net/nic-b/carrier", "1\n");
  tree.write("sys/class/dmi/id/product_uuid", "4C4C4544-0051-3610-8052-B4C04F4E3332\n");
  tree.write("sys/class/dmi/id/product_serial", " 6QR2N32 \n");
  const auto identity = read_host_identity(tree.path("sys"), "quiet");
  EXPECT_THAT(identity.macs,
              ElementsAre("52:54:00:aa:00:02", "52:54:00:aa:00:01", "52:54:00:aa:00:03"));
  EXPECT_EQ(identity.system_uuid, "4c4c4544-0051-3610-8052-b4c04f4e3332");
  EXPECT_EQ(identity.serial_number, "6QR2N32");
  EXPECT_EQ(read_host_identity(tree.path("sys"), "BOOTIF=01-52-54-00-AA-00-03").macs.front(),
            "52:54:00:aa:00:03");
}

TEST(HostIdentity, WhatNobodyFilledInIsAbsent) {
  for (const char* serial :
       {"To Be Filled By O.E.M.", "Not Specified", "Default string", "System Serial Number", "None",
        "0", "........", "xxxxxxxx", "0123456789", ""}) {
    test::HardwareTree tree;
    tree.write("sys/class/dmi/id/product_serial", std::string(serial) + "\n");
    EXPECT_EQ(read_host_identity(tree.path("sys"), "").serial_number, "") << serial;
  }
  for (const char* uuid :
       {"00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009", "Not Settable", "4c4c4544-0051"}) {
    test::HardwareTree tree;
    tree.write("sys/class/dmi/id/product_uuid", std::string(uuid) + "\n");
    EXPECT_EQ(read_host_identity(tree.path("sys"), "").system_uuid, "") << uuid;
  }
}

TEST(FillIn, KnowsIpxesAndCloudInitsPlaceholders) {
  const std::string uuid = machine().system_uuid;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"http://s/${net0/mac}", "http://s/52:54:00:aa:00:01"},
      {"http://s/${net1/mac}?x=1", "http://s/52:54:00:aa:00:02?x=1"},
      {"http://s/${netX/mac}/${mac}", "http://s/52:54:00:aa:00:01/52:54:00:aa:00:01"},
      {"http://s/${mac:hexhyp}.yaml", "http://s/52-54-00-aa-00-01.yaml"},
      {"http://s/${net1/mac:hexraw}", "http://s/525400aa0002"},
      {"http://s/${uuid}", "http://s/" + uuid},
      {"https://s/a?s=${serial}&h=${hostname}", "https://s/a?s=S%201%2F%C3%BC&h=node-1"},
      {"http://s/${serial:uristring}", "http://s/S%201%2F%C3%BC"},
      {"file:///etc/ingot/__dmi.system-uuid__.yaml", "file:///etc/ingot/" + uuid + ".yaml"},
      {"http://s/__dmi.system-serial-number__/${uuid}", "http://s/S%201%2F%C3%BC/" + uuid},
      {"file:///etc/ingot/order.yaml", "file:///etc/ingot/order.yaml"},
  };
  for (const auto& [url, filled] : cases) EXPECT_EQ(fill_in(url, machine()).value(), filled) << url;
}

TEST(FillIn, WithoutPlaceholdersTheQuerySaysWho) {
  const std::string query =
      "mac=52:54:00:aa:00:01&mac=52:54:00:aa:00:02&uuid=4c4c4544-0051-3610-8052-b4c04f4e3332"
      "&serial=S%201%2F%C3%BC";
  EXPECT_EQ(fill_in("http://s/v1/provision", machine()).value(), "http://s/v1/provision?" + query);
  EXPECT_EQ(fill_in("https://s?site=%20a#part", machine()).value(), "https://s?site=%20a&" + query);
  EXPECT_EQ(fill_in("http://s/x", {}).value(), "http://s/x");
}

TEST(FillIn, AnAnswerForNobodyIsNotAskedFor) {
  HostIdentity little = machine();
  little.serial_number.clear();
  for (const char* url : {"http://s/${serial}", "http://s/${net7/mac}", "http://s/${asset}",
                          "http://s/${net0/ip}", "http://s/${mac:base64}", "http://s/__dmi.x__",
                          "no url", "http://s/${", "/etc/order.yaml"}) {
    const auto filled = fill_in(url, little);
    ASSERT_FALSE(filled) << url << " " << *filled;
    EXPECT_EQ(filled.error().code(), Errc::usage_option);
  }
  const auto filled = fill_in("http://u:pw@s/${serial}", little);
  EXPECT_THAT(filled.error().message(), HasSubstr("no value for ${serial}"));
  EXPECT_THAT(filled.error().message(), Not(HasSubstr("pw")));
}

TEST(KernelCommandLine, QuotesAreTheKernels) {
  const auto words = split_kernel_command_line(
      "quiet  a=1 b=\"x y\"\t\"c=x y\" d={\"serial\":\"S 1\"} e=\"open f\n", KernelQuotes::special);
  std::vector<std::string> shown;
  for (const auto& word : words)
    shown.push_back(word.name + (word.value ? "=" + *word.value : "!"));
  EXPECT_THAT(
      shown, ElementsAre("quiet!", "a=1", "b=x y", "c=x y", R"(d={"serial":"S 1"})", "e=open f\n"));
  EXPECT_EQ(split_kernel_command_line("b=\"x y\"", KernelQuotes::kept).size(), 2U);
}

}  // namespace
}  // namespace ingot::agent
