// build_config_drive(): read back by mtools, libblkid and cloud-init's own reader.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/config_drive_files.hpp"

namespace ingot {
namespace {

using imaging::ConfigDrive;
using imaging::ConfigDriveFiles;
using test::FileMap;
using test::secret;

constexpr const char* kMeta =
    R"({"uuid":"6a3b8c7e-0d52-4f6e-9a1b-55d0c2c7a9f1","hostname":"node-1.example"})";
constexpr const char* kNetwork =
    R"({"links":[{"id":"l0","type":"phy","ethernet_mac_address":"52:54:00:12:34:56"}],)"
    R"("networks":[{"id":"n0","link":"l0","type":"ipv4_dhcp"}],"services":[]})";
const std::string kUser("#cloud-config\n\0\x1f\x8b\xff binary\n", 26);

ConfigDriveFiles all_files() {
  ConfigDriveFiles files;
  files.meta_data = secret(kMeta);
  files.user_data = secret(kUser);
  files.network_data = secret(kNetwork);
  files.vendor_data = secret("{}");
  return files;
}

Result<ConfigDrive> build(ConfigDriveFiles files) {
  return imaging::build_config_drive(std::move(files), {});
}

TEST(ConfigDriveBuild, IsAnOpenStackConfigDrive) {
  const test::TempDir dir;
  const auto drive = build(all_files());
  ASSERT_TRUE(drive) << drive.error().message();
  EXPECT_EQ(drive->kind, ConfigDrive::Kind::fat);
  EXPECT_EQ(drive->label, "config-2");
  EXPECT_TRUE(drive->well_labelled());
  EXPECT_FALSE(drive->mounts_at(4096));
  EXPECT_TRUE(drive->mounts_at(512));
  EXPECT_EQ(test::blkid(dir, *drive, "LABEL"), "config-2");
  EXPECT_EQ(test::blkid(dir, *drive, "TYPE"), "vfat");
  const FileMap expected = {{"openstack/latest/meta_data.json", kMeta},
                            {"openstack/latest/user_data", kUser},
                            {"openstack/latest/network_data.json", kNetwork},
                            {"openstack/latest/vendor_data.json", "{}"}};
  EXPECT_EQ(test::files_of_fat(dir, *drive), expected);
  // And it is what we ourselves take.
  const auto reopened = imaging::open_config_drive(drive->image);
  ASSERT_TRUE(reopened) << reopened.error().message();
  EXPECT_EQ(reopened->image, drive->image);
  EXPECT_EQ(reopened->label, "config-2");
}

TEST(ConfigDriveBuild, TheSameInputMakesTheSameBytes) {
  const auto first = build(all_files());
  test::run("sleep 1.1");  // times on it are in seconds
  const auto second = build(all_files());
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->image == second->image);
}

TEST(ConfigDriveBuild, OnlyWhatIsGivenIsThere) {
  const test::TempDir dir;
  ConfigDriveFiles files;
  files.meta_data = secret(kMeta);
  files.user_data = secret("");
  const auto drive = build(files);
  ASSERT_TRUE(drive) << drive.error().message();
  const FileMap expected = {{"openstack/latest/meta_data.json", kMeta},
                            {"openstack/latest/user_data", ""}};
  EXPECT_EQ(test::files_of_fat(dir, *drive), expected);
}

TEST(ConfigDriveBuild, LargeUserDataArrivesAndTooLargeIsRefused) {
  const test::TempDir dir;
  ConfigDriveFiles files = all_files();
  std::string large(16 * MiB, 'x');
  for (std::size_t i = 0; i < large.size(); i += 977) large[i] = static_cast<char>(i);
  files.user_data = secret(large);
  const auto drive = build(files);
  ASSERT_TRUE(drive) << drive.error().message();
  EXPECT_TRUE(test::files_of_fat(dir, *drive)["openstack/latest/user_data"] == large);
  // By its files, and by the blocks around them.
  for (const std::uint64_t size : {65 * MiB, 64 * MiB - 8192}) {
    files.user_data = imaging::SecretBytes(size);
    const auto refused = build(files);
    ASSERT_FALSE(refused) << size;
    EXPECT_EQ(refused.error().code(), Errc::usage_config_drive);
    EXPECT_NE(refused.error().message().find("do not fit into 64"), std::string::npos);
  }
}

// cloud-init's own reader, with its network data turned into what it configures.
constexpr const char* kCloudInit = R"(
import sys
from cloudinit.sources.DataSourceConfigDrive import read_config_drive
from cloudinit.sources.helpers.openstack import convert_net_json
found = read_config_drive(sys.argv[1])
assert found["version"] == 2, found
assert found["metadata"]["instance-id"] == "6a3b8c7e-0d52-4f6e-9a1b-55d0c2c7a9f1", found
assert found["metadata"]["local-hostname"] == "node-1.example", found
assert found["userdata"] == b"#cloud-config\n\0\x1f\x8b\xff binary\n", found
assert found["vendordata"] == {}, found
net = convert_net_json(found["networkdata"], known_macs={"52:54:00:12:34:56": "eth0"})
assert net["config"][0]["name"] == "eth0", net
assert net["config"][0]["subnets"][0]["type"] == "dhcp4", net
print("cloud-init reads it")
)";

TEST(ConfigDriveBuild, CloudInitReadsItForBothSectorSizes) {
  const test::TempDir dir;
  const auto drive = build(all_files());
  ASSERT_TRUE(drive) << drive.error().message();
  test::write_text(dir.path("read.py"), kCloudInit);
  test::files_of_fat(dir, *drive);
  EXPECT_EQ(test::run("/usr/bin/python3 '" + dir.path("read.py") + "' '" +
                      dir.path("extracted-fat") + "'"),
            "cloud-init reads it\n");
  const auto fat = imaging::as_fat(*drive, 4096, 64 * MiB, {});
  ASSERT_TRUE(fat) << fat.error().message();
  test::files_of_fat(dir, *fat);
  EXPECT_EQ(test::run("/usr/bin/python3 '" + dir.path("read.py") + "' '" +
                      dir.path("extracted-fat") + "'"),
            "cloud-init reads it\n");
}

}  // namespace
}  // namespace ingot
