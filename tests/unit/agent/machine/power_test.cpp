// Which systems may be switched off; and what happens instead. No test here asks for the real
// power.
#include "agent/machine/power.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

class IsRamDisk : public testing::Test {
 protected:
  bool with(const std::string& environment) const {
    std::ofstream(dir_.path("environ"), std::ios::binary) << environment;
    return is_ram_disk(dir_.path("environ"), dir_.path("none"));
  }
  const test::TempDir dir_;
};

TEST_F(IsRamDisk, WhereProcessOneSaysSo) {
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

TEST_F(IsRamDisk, NotWhereItCannotBeRead) {
  EXPECT_FALSE(is_ram_disk(dir_.path("none"), dir_.path("none")));
  EXPECT_FALSE(is_ram_disk(dir_.path("."), dir_.path("none")));
}

TEST_F(IsRamDisk, WhereSystemdsMarkOfAnInitramfsIs) {
  std::ofstream(dir_.path("initrd-release")) << "ID=ingot\n";
  EXPECT_TRUE(is_ram_disk(dir_.path("none"), dir_.path("initrd-release")));
}

TEST(Power, WithExitTheProcessEndsInstead) {
  int ended = 0;
  const auto power = make_power(PowerMode::exit, true, [&ended] { ++ended; });
  EXPECT_TRUE(power->off());
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(power->reboot());
  EXPECT_EQ(ended, 2);
  EXPECT_TRUE(power->kexec());
  EXPECT_EQ(ended, 3);
  power->isolate();
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace ingot::agent
