// open_config_drive(): images as Ironic, mkfs.fat and others make them, in every wrapping; and all
// that is none.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/config_drive_files.hpp"

namespace ingot {
namespace {

using imaging::ConfigDrive;
using imaging::open_config_drive;
using test::FileMap;
using Bytes = std::vector<std::byte>;

const FileMap kFiles = {{"openstack/latest/meta_data.json", R"({"uuid":"x"})"},
                        {"openstack/latest/user_data", "#!/bin/sh\necho hunter2\n"}};

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class ConfigDriveOpen : public testing::Test {
 protected:
  // `bytes` through a program.
  Bytes through(const std::string& command, const Bytes& bytes) {
    test::write_file(dir_.path("in"), bytes);
    test::run("(" + command + ") <'" + dir_.path("in") + "' >'" + dir_.path("out") + "'");
    return test::read_file(dir_.path("out"));
  }
  Bytes make_fat(const std::string& options) {
    const std::string image = dir_.path("made.fat");
    test::run("rm -f '" + image + "' && mkfs.fat -C " + options + " '" + image + "' 4096");
    return test::read_file(image);
  }
  // That `bytes` are refused with `reason` in the message, which shows nothing of them.
  static void refused(const Bytes& bytes, const std::string& reason) {
    const auto drive = open_config_drive(bytes);
    ASSERT_FALSE(drive) << reason;
    EXPECT_EQ(drive.error().code(), Errc::usage_config_drive);
    EXPECT_NE(drive.error().message().find(reason), std::string::npos) << drive.error().message();
    EXPECT_EQ(drive.error().message().find("hunter2"), std::string::npos);
    EXPECT_FALSE(drive.error().advice().empty());
  }

  test::TempDir dir_;
};

TEST_F(ConfigDriveOpen, EveryWrappingOfAnIsoAsIronicMakesIt) {
  const Bytes iso = test::make_iso(dir_, kFiles);
  const Bytes gzip = through("gzip -9", iso);
  const std::vector<std::pair<const char*, Bytes>> forms = {
      {"plain", iso},
      {"gzip", gzip},
      {"base64 of gzip, in lines", through("base64", gzip)},
      {"base64 of gzip, one line", through("base64 -w0", gzip)},
      {"base64 with CRLF and blanks", through("base64 | sed 's/^/  /; s/$/\\r/'", gzip)},
      {"base64 without padding", through("base64 -w0 | tr -d =", gzip)},
      {"base64 of the image", through("base64", iso)}};
  for (const auto& [name, bytes] : forms) {
    const auto drive = open_config_drive(bytes);
    ASSERT_TRUE(drive) << name << ": " << drive.error().message();
    EXPECT_TRUE(std::ranges::equal(drive->image, iso)) << name;
    EXPECT_EQ(drive->kind, ConfigDrive::Kind::iso9660);
    EXPECT_EQ(drive->label, "config-2");
    EXPECT_EQ(drive->sector_size, 2048U);
  }
  const Bytes members =
      through("(head -c 5000 '" + dir_.path("made.iso") + "' | gzip; tail -c +5001 '" +
                  dir_.path("made.iso") + "' | gzip; head -c 512 /dev/zero)",
              {});
  const auto drive = open_config_drive(members);
  ASSERT_TRUE(drive) << drive.error().message();
  EXPECT_TRUE(std::ranges::equal(drive->image, iso));
}

TEST_F(ConfigDriveOpen, FatOfEverySectorSize) {
  for (const std::uint32_t sector : {512U, 1024U, 2048U, 4096U}) {
    const auto drive = open_config_drive(make_fat("-n CONFIG-2 -S " + std::to_string(sector)));
    ASSERT_TRUE(drive) << drive.error().message();
    EXPECT_EQ(drive->kind, ConfigDrive::Kind::fat);
    EXPECT_EQ(drive->sector_size, sector);
    EXPECT_TRUE(drive->mounts_at(sector));
    EXPECT_EQ(drive->mounts_at(4096), sector == 4096);
    EXPECT_TRUE(drive->well_labelled());
  }
}

TEST_F(ConfigDriveOpen, AnotherLabelIsAcceptedAndSaid) {
  const auto drive = open_config_drive(test::make_iso(dir_, kFiles, "-R -V cidata"));
  ASSERT_TRUE(drive) << drive.error().message();
  EXPECT_EQ(drive->label, "cidata");
  EXPECT_FALSE(drive->well_labelled());
  const auto none = open_config_drive(make_fat(""));
  ASSERT_TRUE(none) << none.error().message();
  EXPECT_FALSE(none->well_labelled());
  const auto upper = open_config_drive(test::make_iso(dir_, kFiles, "-R -V CONFIG-2"));
  ASSERT_TRUE(upper) << upper.error().message();
  EXPECT_TRUE(upper->well_labelled());
}

TEST_F(ConfigDriveOpen, OddLengthsAreFilledUpToASector) {
  Bytes iso = test::make_iso(dir_, kFiles);
  const std::size_t whole = iso.size();
  iso.push_back(std::byte{7});
  const auto drive = open_config_drive(iso);
  ASSERT_TRUE(drive) << drive.error().message();
  EXPECT_EQ(drive->image.size(), whole + 512);
}

TEST_F(ConfigDriveOpen, WhatIsCutOffIsRefused) {
  const Bytes iso = test::make_iso(dir_, kFiles, "-R -J -V config-2 -no-pad");
  refused(Bytes(iso.begin(), iso.end() - 2048), "cut off");
  const Bytes gzip = through("gzip", iso);
  for (const std::size_t length : {std::size_t{20}, gzip.size() / 2, gzip.size() - 1})
    refused(Bytes(gzip.begin(), gzip.begin() + static_cast<std::ptrdiff_t>(length)),
            "gzip data is cut off");
  const Bytes text = through("base64 -w0", gzip);
  refused(Bytes(text.begin(), text.begin() + 400), "cut off");
  const Bytes fat = make_fat("-n CONFIG-2");
  refused(Bytes(fat.begin(), fat.end() - 512), "cut off");
}

TEST_F(ConfigDriveOpen, WhatIsDamagedIsRefused) {
  const Bytes iso = test::make_iso(dir_, kFiles);
  Bytes gzip = through("gzip", iso);
  Bytes broken = gzip;
  broken[broken.size() - 5] ^= std::byte{1};  // of the CRC
  refused(broken, "gzip data is damaged");
  gzip.insert(gzip.end(), 3, std::byte{'x'});
  refused(gzip, "something else follows");
}

TEST_F(ConfigDriveOpen, OnlyRealBase64IsTakenForIt) {
  const Bytes text = through("base64 -w0", through("gzip", test::make_iso(dir_, kFiles)));
  const std::string right = test::text_of(text);
  ASSERT_TRUE(open_config_drive(bytes_of(right + "\n")));
  for (const char* foreign : {"-", "_", ".", "%", "\"", "\xc3\xa4", "\x0b"}) {
    std::string wrong = right;
    wrong.insert(100, foreign);
    refused(bytes_of(wrong), "it ");
  }
  refused(bytes_of(right.substr(0, 100) + "=" + right.substr(100)), "it ");
  refused(bytes_of(right + "="), "it ");
  refused(bytes_of(right + "===="), "it ");
}

TEST_F(ConfigDriveOpen, OtherThingsAreCalledByTheirNames) {
  refused({}, "it is empty");
  refused(bytes_of("\n \n"), "");
  refused(bytes_of("<!DOCTYPE html><html>hunter2</html>"), "it is a web page");
  refused(bytes_of(R"({"meta_data": "hunter2"})"), "JSON");
  refused(bytes_of("#cloud-config\npassword: hunter2\n"), "it ");
  refused(through("gzip", bytes_of("hunter2, and no image")), "inside its gzip data");
  refused(through("base64", bytes_of("hunter2, and no image")), "inside its base64 text");
  test::run("qemu-img create -q -f qcow2 '" + dir_.path("q") + "' 1M");
  refused(test::read_file(dir_.path("q")), "qcow2");
  test::run("truncate -s 4M '" + dir_.path("e") + "' && mkfs.ext4 -q '" + dir_.path("e") + "'");
  refused(test::read_file(dir_.path("e")), "no file system that it may have");
  refused(Bytes(64 * 1024), "it ");
  std::mt19937 random(7);  // NOLINT: the same bytes every time
  Bytes noise(100'000);
  for (auto& byte : noise) byte = static_cast<std::byte>(random());
  refused(noise, "it ");
}

TEST_F(ConfigDriveOpen, NothingPasses64MiB) {
  Bytes large = test::make_iso(dir_, kFiles);
  large.resize(64 * MiB);
  EXPECT_TRUE(open_config_drive(large));
  large.resize(65 * MiB);
  refused(large, "larger than 64.0 MiB");
  const Bytes bomb = through("gzip -1", large);
  refused(bomb, "larger than 64.0 MiB");
  refused(through("base64", bomb), "larger than 64.0 MiB");
  refused(through("head -c 200M /dev/zero | gzip -1", {}), "larger than 64.0 MiB");
  refused(Bytes(97 * MiB, std::byte{'A'}), "larger than 64.0 MiB");
  refused(Bytes(95 * MiB, std::byte{'A'}), "larger than 64.0 MiB");
}

}  // namespace
}  // namespace ingot
