// Which systems may be switched off; and what happens instead. No test here asks for the real
// power.
#include "agent/ironic/power.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

class MaySwitchOff : public testing::Test {
 protected:
  bool with(const std::string& environment, const AgentOptions& options = {}) const {
    std::ofstream(dir_.path("environ"), std::ios::binary) << environment;
    return may_switch_off(options, dir_.path("environ"));
  }
  const test::TempDir dir_;
};

TEST_F(MaySwitchOff, RamDisksOnly) {
  using namespace std::string_literals;
  EXPECT_TRUE(with("HOME=/\0INGOT_RAMDISK=1\0TERM=linux\0"s));
  EXPECT_TRUE(with("INGOT_RAMDISK=1"));
  EXPECT_TRUE(with("A=B\0SYSTEMD_IN_INITRD=1\0"s));
  for (const std::string& environment :
       {""s, "\0\0"s, "HOME=/\0TERM=linux\0"s, "INGOT_RAMDISK=0\0"s, "INGOT_RAMDISK=11\0"s,
        "INGOT_RAMDISK=\0"s, "XINGOT_RAMDISK=1\0"s, "X=INGOT_RAMDISK=1\0"s, "INGOT_RAMDISK=1 \0"s,
        "ingot_ramdisk=1\0"s, "X=\nINGOT_RAMDISK=1\n\0"s})
    EXPECT_FALSE(with(environment)) << environment;
}

TEST_F(MaySwitchOff, OrWhereTheParameterSaysSo) {
  AgentOptions options;
  options.allow_power = true;
  EXPECT_TRUE(with("", options));
  EXPECT_TRUE(may_switch_off(options, dir_.path("none")));
  EXPECT_FALSE(may_switch_off({}, dir_.path("none")));
  EXPECT_FALSE(may_switch_off({}, dir_.path(".")));
}

TEST(Power, WithExitTheProcessEndsInstead) {
  AgentOptions options;
  options.power = PowerMode::exit;
  options.allow_power = true;
  int ended = 0;
  const auto power = make_power(options, [&ended] { ++ended; });
  EXPECT_TRUE(power->off());
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(power->reboot());
  EXPECT_EQ(ended, 2);
  power->isolate();
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace ingot::agent
