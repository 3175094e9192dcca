// as_fat(): what mtools reads and fsck.fat finds nothing wrong with.
#include <gtest/gtest.h>

#include "tests/support/config_drive_files.hpp"

namespace ingot {
namespace {

using imaging::as_fat;
using imaging::ConfigDrive;
using test::FileMap;

ConfigDrive open(const std::vector<std::byte>& bytes) {
  auto drive = imaging::open_config_drive(bytes);
  EXPECT_TRUE(drive) << drive.error().message();
  return drive ? *std::move(drive) : ConfigDrive{};
}

FileMap many_names() {
  FileMap files = {{"openstack/latest/meta_data.json", "{}"},
                   {"openstack/latest/user_data", std::string("a\0b\xff", 4)},
                   {"openstack/latest/empty", ""},
                   {"openstack/content/0000", std::string(5000, 'c')},
                   {"with space/and ünï cöde 日本.txt", "utf-8"},
                   {"UPPER.TXT", "upper"},
                   {"[brackets]", "no pattern"},
                   {"a-long-name-that-needs-several-entries-of-a-directory-0123456789.json", "1"},
                   {"a-long-name-that-needs-several-entries-of-a-directory-9876543210.json", "2"}};
  for (int i = 0; i < 40; ++i) files["many/file-" + std::to_string(i)] = std::to_string(i);
  return files;
}

TEST(ConfigDriveFat, HoldsEveryFileOfAnIsoOnEverySectorSize) {
  const test::TempDir dir;
  const FileMap files = many_names();
  const ConfigDrive iso = open(test::make_iso(dir, files));
  for (const std::uint32_t sector : {512U, 4096U}) {
    const auto fat = as_fat(iso, sector, 64 * MiB, {});
    ASSERT_TRUE(fat) << fat.error().message();
    EXPECT_EQ(fat->kind, ConfigDrive::Kind::fat);
    EXPECT_EQ(fat->sector_size, sector);
    EXPECT_TRUE(fat->mounts_at(sector));
    EXPECT_EQ(test::files_of_fat(dir, *fat), files) << sector;
    EXPECT_EQ(test::blkid(dir, *fat, "LABEL"), "CONFIG-2");
    EXPECT_EQ(test::blkid(dir, *fat, "BLOCK_SIZE"), std::to_string(sector));
    const auto reopened = imaging::open_config_drive(fat->image);
    ASSERT_TRUE(reopened) << reopened.error().message();
    EXPECT_EQ(reopened->sector_size, sector);
  }
}

TEST(ConfigDriveFat, TakesJolietNamesWhereThereIsNoRockRidge) {
  const test::TempDir dir;
  const FileMap files = {{"openstack/latest/meta_data.json", "{}"},
                         {"ünï-directory/cöde-file.json", "x"}};
  const auto fat =
      as_fat(open(test::make_iso(dir, files, "--norock -J -V config-2")), 4096, 64 * MiB, {});
  ASSERT_TRUE(fat) << fat.error().message();
  EXPECT_EQ(test::files_of_fat(dir, *fat), files);
}

TEST(ConfigDriveFat, IsMadeOfAFatWithSmallerSectors) {
  const test::TempDir dir;
  FileMap files = many_names();
  files.erase("[brackets]");
  const auto small = as_fat(open(test::make_iso(dir, files)), 512, 64 * MiB, {});
  ASSERT_TRUE(small) << small.error().message();
  const auto large = as_fat(*small, 4096, 64 * MiB, {});
  ASSERT_TRUE(large) << large.error().message();
  EXPECT_EQ(large->sector_size, 4096U);
  EXPECT_EQ(test::files_of_fat(dir, *large), files);
}

TEST(ConfigDriveFat, LinksAreLeftOutAndNothingOutsideIsRead) {
  const test::TempDir dir;
  const std::string root = dir.path("iso-root");
  test::make_tree(root, {{"openstack/latest/user_data", "u"}});
  test::run("ln -s /etc/passwd '" + root + "/out' && ln -s .. '" + root +
            "/openstack/up' && mkfifo '" + root + "/pipe'");
  test::run("ln '" + root + "/openstack/latest/user_data' '" + root + "/same'");
  test::run("xorriso -as mkisofs -quiet -R -V config-2 --hardlinks -o '" + dir.path("l.iso") +
            "' '" + root + "'");
  const auto fat = as_fat(open(test::read_file(dir.path("l.iso"))), 4096, 64 * MiB, {});
  ASSERT_TRUE(fat) << fat.error().message();
  const FileMap expected = {{"openstack/latest/user_data", "u"}, {"same", "u"}};
  EXPECT_EQ(test::files_of_fat(dir, *fat), expected);
}

TEST(ConfigDriveFat, LargeOnesFitAndTooLargeOnesAreRefused) {
  const test::TempDir dir;
  std::string large(40 * MiB, 'x');
  for (std::size_t i = 0; i < large.size(); i += 4093) large[i] = static_cast<char>(i / 4093);
  const FileMap files = {{"openstack/latest/user_data", large}};
  const ConfigDrive iso = open(test::make_iso(dir, files));
  const auto fat = as_fat(iso, 4096, 64 * MiB, {});
  ASSERT_TRUE(fat) << fat.error().message();
  EXPECT_LE(fat->image.size(), 64 * MiB);
  EXPECT_TRUE(test::files_of_fat(dir, *fat) == files);
  for (const std::uint64_t limit : {std::uint64_t{0}, 1 * MiB, 40 * MiB}) {
    const auto refused = as_fat(iso, 4096, limit, {});
    ASSERT_FALSE(refused) << limit;
    EXPECT_EQ(refused.error().code(), Errc::usage_config_drive);
  }
}

TEST(ConfigDriveFat, NamesThatNoFatHoldsAreRefusedWithoutShowingThem) {
  for (const char* name : {"hunter2:colon", "hunter2*", "hunter2.", "hunter2?", "ünï"}) {
    const test::TempDir dir;
    const auto fat = as_fat(open(test::make_iso(dir, {{name, "x"}})), 4096, 64 * MiB, {});
    ASSERT_FALSE(fat) << name;
    EXPECT_EQ(fat.error().code(), Errc::usage_config_drive);
    EXPECT_EQ(fat.error().message().find("hunter2"), std::string::npos);
  }
  const test::TempDir dir;
  const auto twice =
      as_fat(open(test::make_iso(dir, {{"Name", "x"}, {"name", "y"}})), 4096, 64 * MiB, {});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message().find("case"), std::string::npos);
}

TEST(ConfigDriveFat, TooManyFilesAreRefusedAndAStopIsHeard) {
  const test::TempDir dir;
  FileMap files;
  for (int i = 0; i < 1100; ++i) files["f" + std::to_string(i)] = "";
  const ConfigDrive iso = open(test::make_iso(dir, files));
  const auto many = as_fat(iso, 4096, 64 * MiB, {});
  ASSERT_FALSE(many);
  EXPECT_NE(many.error().message().find("more than 1000 files"), std::string::npos);
  EXPECT_EQ(as_fat(iso, 520, 64 * MiB, {}).error().code(), Errc::usage_config_drive);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(as_fat(iso, 4096, 64 * MiB, stop.get_token()).error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace ingot
