// The erase steps, on loop devices.
#include "agent/ironic/cleaning.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/unit/agent/ironic/loop_agent.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::LoopAgent;
using test::LoopDevice;

constexpr std::uint64_t kSize = 16 * MiB;

void partition(const LoopDevice& disk, const std::string& type = "linux") {
  test::run("printf 'label: gpt\\nstart=2048,size=8192,type=" + type +
            "\\n' | sfdisk -q --no-reread --no-tell-kernel " + disk.path() +
            " && head -c 64K /dev/zero | tr '\\0' M | dd of=" + disk.path() +
            " bs=64K seek=128 conv=notrunc,fsync status=none iflag=fullblock");
}
bool has_table(const LoopDevice& disk) {
  return test::bytes_of(disk, 512, 8) == "EFI PART";
}
bool has_data(const LoopDevice& disk) {
  return test::bytes_of(disk, 8 * MiB, 4) == "MMMM";
}

json::object clean(LoopAgent& agent, const std::string& step, const json::object& node = {}) {
  return agent.step("clean", step, {}, node);
}

class Cleaning : public testing::Test {
 protected:
  Cleaning() {
    partition(first_);
    partition(second_);
  }
  const LoopDevice first_{kSize}, second_{kSize};
  LoopAgent agent_{{&first_, &second_}};
};

TEST_F(Cleaning, MetadataOfAllDisks) {
  const auto record = clean(agent_, "erase_devices_metadata");
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(record.at("command_result").at("clean_result").is_null());
  for (const auto* disk : {&first_, &second_}) {
    EXPECT_FALSE(has_table(*disk));
    EXPECT_EQ(test::bytes_of(*disk, kSize - 512, 8), std::string(8, '\0')) << "the backup's header";
    EXPECT_TRUE(has_data(*disk)) << "only metadata";
  }
  EXPECT_EQ(agent_.node.job(), nullptr);
}

TEST_F(Cleaning, AllBytesOfAllDisks) {
  const auto record = clean(agent_, "erase_devices");
  ASSERT_EQ(test::status_of(record), "SUCCEEDED");
  const auto& done = record.at("command_result").at("clean_result").as_object();
  EXPECT_EQ(done.size(), 2U);
  for (const auto* disk : {&first_, &second_}) {
    EXPECT_EQ(string_in(done, disk->path()), "zero");
    EXPECT_EQ(test::content_of(disk->backing()), std::string(kSize, '\0'));
  }
}

TEST_F(Cleaning, ExpressIsMetadataWhereADiskCannotDoMore) {
  const auto record = clean(agent_, "erase_devices_express");
  ASSERT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_EQ(string_in(record.at("command_result").at("clean_result").as_object(), first_.path()),
            "metadata");
  EXPECT_FALSE(has_table(first_));
  EXPECT_TRUE(has_data(first_));
}

TEST_F(Cleaning, SkippedDisksStay) {
  const auto record =
      clean(agent_, "erase_devices_metadata",
            {{"properties",
              {{"skip_block_devices",
                json::array{json::object{{"volume_name", "md0"}}, "nonsense", json::object(),
                            json::object{{"name", "s== " + first_.path()}}}}}}});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(has_table(first_));
  EXPECT_FALSE(has_table(second_));
}

TEST_F(Cleaning, ReadOnlyDisksArePassedOver) {
  test::run("blockdev --setro " + first_.path());
  const auto record = clean(agent_, "erase_devices_metadata");
  test::run("blockdev --setrw " + first_.path());
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(has_table(first_));
  EXPECT_FALSE(has_table(second_));
}

TEST_F(Cleaning, ADiskThatFailsIsNamedAndTheOthersAreErased) {
  const LoopDevice mounted(64 * MiB);
  const test::Mount mount(mounted.path());
  LoopAgent agent({&first_, &mounted, &second_});
  const auto record = clean(agent, "erase_devices_metadata");
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "BlockDeviceEraseError");
  EXPECT_NE(test::error_details(record).find(mounted.path() + ":"), std::string::npos)
      << test::error_details(record);
  EXPECT_EQ(test::error_details(record).find(first_.path() + ":"), std::string::npos);
  EXPECT_FALSE(has_table(first_));
  EXPECT_FALSE(has_table(second_));
  EXPECT_NE(test::run("blkid -p " + mounted.path()).find("ext4"), std::string::npos);
}

TEST_F(Cleaning, AMissingDiskFails) {
  agent_.options.only_disks.emplace_back("/dev/no-such-disk0");
  const auto record = clean(agent_, "erase_devices_metadata");
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_TRUE(has_table(first_));
  EXPECT_TRUE(has_table(second_));
}

class Guard : public Cleaning {
 protected:
  Guard() { partition(second_, "37AFFC90-EF7D-4E96-91C3-2D7AE055B174"); }
};

TEST_F(Guard, ADiskThatOthersShareStopsTheStepBeforeAnythingIsTouched) {
  for (const auto* step : {"erase_devices_metadata", "erase_devices", "erase_devices_express"}) {
    const auto record = clean(agent_, step);
    EXPECT_EQ(test::error_type(record), "ProtectedDeviceError") << step;
    EXPECT_NE(test::error_details(record).find(second_.path()), std::string::npos);
    EXPECT_TRUE(has_table(first_));
    EXPECT_TRUE(has_table(second_));
  }
}

TEST_F(Guard, EachKindOfSharing) {
  const char* const kTypes[] = {"37AFFC90-EF7D-4E96-91C3-2D7AE055B174",
                                "AA31E02A-400F-11DB-9590-000C2911D1B8"};
  for (const auto* type : kTypes) {
    partition(second_, type);
    EXPECT_EQ(test::error_type(clean(agent_, "erase_devices_metadata")), "ProtectedDeviceError")
        << type;
  }
  test::run("wipefs -qa " + second_.path() +
            " && printf 'label: dos\\nstart=2048,size=8192,type=fb\\n' | sfdisk -q --no-reread "
            "--no-tell-kernel " +
            second_.path());
  EXPECT_EQ(test::error_type(clean(agent_, "erase_devices_metadata")), "ProtectedDeviceError");
  EXPECT_TRUE(has_table(first_));
}

TEST_F(Guard, TheNodeMayLiftIt) {
  const auto record = clean(agent_, "erase_devices_metadata",
                            {{"driver_internal_info", {{"wipe_special_filesystems", false}}}});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_FALSE(has_table(second_));
}

TEST_F(Guard, AParameterMayLiftIt) {
  agent_.options.guard_special_filesystems = false;
  EXPECT_EQ(test::status_of(clean(agent_, "erase_devices_metadata")), "SUCCEEDED");
  EXPECT_FALSE(has_table(second_));
}

TEST_F(Guard, ASkippedDiskNeedsNone) {
  const auto record =
      clean(agent_, "erase_devices_metadata",
            {{"properties",
              {{"skip_block_devices", json::array{json::object{{"name", second_.path()}}}}}}});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_FALSE(has_table(first_));
  EXPECT_TRUE(has_table(second_));
}

}  // namespace
}  // namespace ingot::agent
