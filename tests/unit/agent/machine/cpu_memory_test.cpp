#include "agent/machine/cpu_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

class CpuMemory : public testing::Test {
 protected:
  [[nodiscard]] Cpu cpu(const std::vector<DmiStructure>& dmi = {}) const {
    return read_cpu(tree.path("proc"), tree.path("sys"), dmi);
  }
  [[nodiscard]] Memory memory(const std::vector<DmiStructure>& dmi = {}) const {
    return read_memory(tree.path("proc"), tree.path("sys"), dmi);
  }
  void of_cpu(int number, const std::string& file, const std::string& content) {
    tree.write("sys/devices/system/cpu/cpu" + std::to_string(number) + "/" + file, content);
  }
  test::HardwareTree tree;
};

TEST_F(CpuMemory, AnX86Server) {
  tree.write("proc/cpuinfo",
             "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some  CPU @ 2.60GHz\n"
             "cpu MHz\t\t: 1200.123\nflags\t\t: fpu vme  sse4_2\n\n"
             "processor\t: 1\nmodel name\t: Another\nflags\t\t: none\n");
  tree.write("sys/devices/system/cpu/present", "0-3,8\n");
  for (const int number : {0, 1, 2, 3, 8}) {
    of_cpu(number, "topology/physical_package_id", number < 2 ? "0\n" : "1\n");
    of_cpu(number, "cpufreq/cpuinfo_max_freq", number == 2 ? "3200050\n" : "2600000\n");
  }
  tree.write("sys/devices/system/cpu/cpufreq/cpuinfo_max_freq", "9999999\n");  // no CPU's
  const Cpu found = cpu();
  EXPECT_EQ(found.model_name, "Some  CPU @ 2.60GHz");
  EXPECT_EQ(found.frequency, "3200.0500");
  EXPECT_EQ(found.count, 5U);
  EXPECT_THAT(found.flags, testing::ElementsAre("fpu", "vme", "sse4_2"));
  EXPECT_EQ(found.socket_count, 2U);
}

TEST_F(CpuMemory, AGuestWithoutCpufreq) {
  tree.write("proc/cpuinfo", "processor : 0\ncpu MHz : 2600.000\n\nprocessor : 1\ncpu MHz : 1.0\n");
  of_cpu(0, "topology/physical_package_id", "-1\n");
  const Cpu found = cpu();
  EXPECT_EQ(found.frequency, "2600.000");
  EXPECT_EQ(found.count, 2U) << "of /proc/cpuinfo, without the list of present ones";
  EXPECT_FALSE(found.socket_count);
}

TEST_F(CpuMemory, AnArmServerIsNamedByItsFirmware) {
  tree.write("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n");
  DmiStructure processor;
  processor.type = 4;
  processor.data = std::string(0x30, '\0');
  processor.data[0x10] = 1;
  processor.strings = {"Some ARM"};
  const Cpu found = cpu({processor});
  EXPECT_EQ(found.model_name, "Some ARM");
  EXPECT_EQ(found.frequency, "");
  EXPECT_THAT(found.flags, testing::ElementsAre("fp", "asimd"));
}

TEST_F(CpuMemory, ListsThatAreNone) {
  tree.write("proc/cpuinfo", "processor : 0\n");
  for (const char* list : {"", "x", "3-1", "0-4294967295", "0-99999999999999999999", "0,,1", "-"}) {
    tree.write("sys/devices/system/cpu/present", list);
    EXPECT_EQ(cpu().count, 1U) << list;
  }
}

TEST_F(CpuMemory, ThisMachine) {
  const Cpu found = read_cpu("/proc", "/sys", {});
  utsname system{};
  ASSERT_EQ(::uname(&system), 0);
  EXPECT_EQ(found.architecture, system.machine);
  EXPECT_GE(found.count, static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  EXPECT_FALSE(found.flags.empty());
  const Memory memory = read_memory("/proc", "/sys", {});
  EXPECT_GT(memory.total, 64U << 20);
  ASSERT_TRUE(memory.physical_mb);
  EXPECT_GE(*memory.physical_mb, memory.total >> 20);
}

TEST_F(CpuMemory, MemoryByWhoeverKnows) {
  EXPECT_FALSE(memory().physical_mb);
  tree.write("proc/meminfo", "MemTotal:       8000001 kB\nMemFree:  1 kB\n");
  EXPECT_EQ(memory().total, 8000001ULL * 1024);
  EXPECT_EQ(memory().physical_mb, 7813U) << "rounded up";
  tree.write("sys/devices/system/memory/block_size_bytes", "8000000\n");
  for (int block = 0; block < 64; ++block)
    tree.write("sys/devices/system/memory/memory" + std::to_string(block) + "/state", "online\n");
  tree.write("sys/devices/system/memory/memory64/state", "offline\n");
  EXPECT_EQ(memory().physical_mb, 8192U);
  DmiStructure device;
  device.type = 17;
  device.data = std::string(0x28, '\0');
  device.data[0x0D] = 0x40;  // 16384 MiB
  EXPECT_EQ(memory({device}).physical_mb, 16384U);
}

}  // namespace
}  // namespace ingot::agent
