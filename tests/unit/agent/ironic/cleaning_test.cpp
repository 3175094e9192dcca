// The erase steps, on loop devices.
#include "agent/ironic/cleaning.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <thread>

#include "disk/core/unique_fd.hpp"
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

// A lock of another program on a disk.
class Locked {
 public:
  Locked(const LoopDevice& disk, int kind)
      : fd_(::open(disk.path().c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_EQ(::flock(fd_.get(), kind), 0) << disk.path();
  }

 private:
  const UniqueFd fd_;
};

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
  const Locked locked(first_, LOCK_EX);
  const auto record = clean(agent_, "erase_devices_metadata");
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "BlockDeviceEraseError");
  EXPECT_NE(test::error_details(record).find(first_.path() + ":"), std::string::npos)
      << test::error_details(record);
  EXPECT_EQ(test::error_details(record).find(second_.path() + ":"), std::string::npos);
  EXPECT_TRUE(has_table(first_));
  EXPECT_FALSE(has_table(second_));
}

// Old metadata may have been mounted by whatever runs in the RAM disk.
TEST_F(Cleaning, AMountedDiskIsErased) {
  const LoopDevice mounted(64 * MiB);
  const test::Mount mount(mounted.path());
  LoopAgent agent({&mounted});
  EXPECT_EQ(test::status_of(clean(agent, "erase_devices_metadata")), "SUCCEEDED");
  EXPECT_EQ(test::bytes_of(mounted, 1080, 2), std::string(2, '\0')) << "ext4's magic";
}

TEST_F(Cleaning, AMissingDiskFails) {
  agent_.options.only_disks.emplace_back("/dev/no-such-disk0");
  const auto record = clean(agent_, "erase_devices_metadata");
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_TRUE(has_table(first_));
  EXPECT_TRUE(has_table(second_));
}

// The look at a disk fails, and nothing hinders any more when it comes to erasing.
TEST_F(Cleaning, ADiskThatTheGuardCouldNotSeeIsNotErased) {
  // The last by name is looked at first.
  const LoopDevice& shared = first_.path() > second_.path() ? first_ : second_;
  const LoopDevice& other = &shared == &first_ ? second_ : first_;
  partition(shared, "37AFFC90-EF7D-4E96-91C3-2D7AE055B174");
  auto unseen = std::make_unique<Locked>(shared, LOCK_EX);
  auto slow = std::make_unique<Locked>(other, LOCK_SH);  // is waited for, as udev's is
  std::jthread passing([&] {
    test::eventually([&] { return agent_.node.job() != nullptr; });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    unseen.reset();
    slow.reset();
  });
  const auto record = clean(agent_, "erase_devices_metadata");
  passing.join();
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_NE(test::error_details(record).find(shared.path()), std::string::npos);
  EXPECT_TRUE(has_table(shared));
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
