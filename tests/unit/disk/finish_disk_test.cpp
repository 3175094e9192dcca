// Written images get their table finished: real tables by sgdisk and sfdisk on loop devices of both
// sector sizes and on files, judged by sgdisk and sfdisk afterwards. Needs root.
#include "disk/table/finish_disk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "disk/core/units.hpp"
#include "disk/table/gpt.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;
using testing::HasSubstr;

Bytes noise(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// The content of a disk on which `commands` ran, with "DISK" for its path; noise in the partitions.
Bytes make_image(std::uint64_t size, unsigned sector, const std::string& commands,
                 const std::vector<std::pair<std::uint64_t, Bytes>>& content = {}) {
  const LoopDevice disk(size, sector);
  std::string script = commands;
  for (auto at = script.find("DISK"); at != std::string::npos; at = script.find("DISK"))
    script.replace(at, 4, disk.path());
  run("(" + script + ") 2>&1");
  Bytes bytes = disk.content();
  for (const auto& [offset, data] : content)
    std::memcpy(bytes.data() + offset, data.data(), data.size());
  return bytes;
}

struct Outcome {
  Result<disk::FinishedDisk> finished = fail(Errc::internal_bug, "not run");
  bool committed = false;
};

Outcome write_and_finish(const std::string& path, const Bytes& image,
                         const std::optional<Bytes>& config_drive = {}, bool dry_run = false) {
  Outcome outcome;
  auto target = disk::claim(path, {dry_run, std::nullopt});
  if (!target) {
    outcome.finished = tl::unexpected(target.error());
    return outcome;
  }
  ProgressCounters counters;
  FirstError job;
  disk::WriterOptions options;
  options.dry_run = dry_run;
  disk::DeviceWriter writer(*target, options, counters, job);
  const auto all = [&]() -> Result<disk::FinishedDisk> {
    INGOT_TRY(writer.begin(image.size()));
    for (std::size_t at = 0; at < image.size();) {
      INGOT_TRY_ASSIGN(const BufferRef buffer, writer.buffer());
      const std::size_t part = std::min<std::size_t>(buffer.bytes().size(), image.size() - at);
      std::memcpy(buffer.bytes().data(), image.data() + at, part);
      INGOT_TRY(writer.write(at, Slice(buffer, buffer.bytes().first(part))));
      at += part;
    }
    INGOT_TRY(writer.finish());
    std::optional<disk::ConfigDriveRequest> request;
    if (config_drive) request = disk::ConfigDriveRequest{*config_drive};
    INGOT_TRY_ASSIGN(auto finished, disk::finish_disk(*target, writer, request, dry_run));
    INGOT_TRY(writer.commit());
    outcome.committed = true;
    return finished;
  };
  outcome.finished = all();
  return outcome;
}

// What sgdisk and sfdisk find wrong with a disk; "" if nothing.
std::string complaints(const std::string& path, bool gpt) {
  std::string found;
  if (gpt) {
    const std::string verdict = run("sgdisk -v " + path + " 2>&1; true");
    if (verdict.find("No problems found") == std::string::npos) found += verdict;
    if (verdict.find("Caution") != std::string::npos) found += verdict;
  }
  const std::string verdict = run("sfdisk --verify " + path + " 2>&1; true");
  if (verdict.find("No errors detected") == std::string::npos ||
      verdict.find("will be corrected") != std::string::npos ||
      verdict.find("not on the end") != std::string::npos)
    found += verdict;
  return found;
}

// The table without what depends on the disk's size and name.
std::string dump(const std::string& path) {
  return run("sfdisk -d " + path + " 2>/dev/null | grep -v -e '^last-lba' -e '^device' | sed 's#" +
             path + "#disk#'");
}

Bytes iso(std::size_t size) {
  // ISO 9660 as far as libblkid looks: a primary volume descriptor with the label.
  Bytes bytes = noise(size, 5);
  std::memset(bytes.data() + 0x8000, 0, 4096);
  std::memcpy(bytes.data() + 0x8000, "\1CD001\1", 7);
  std::memset(bytes.data() + 0x8028, ' ', 32);
  std::memcpy(bytes.data() + 0x8028, "config-2", 8);
  std::memcpy(bytes.data() + 0x8800,
              "\xff"
              "CD001\1",
              7);
  return bytes;
}

const std::string kTwoPartitions =
    "sgdisk -o -n 1:0:+8M -t 1:ef00 -c 1:ESP -n 2:0:+50M -c 2:root -A 2:set:2 DISK";

class OnSectors : public testing::TestWithParam<unsigned> {
 protected:
  [[nodiscard]] unsigned sector() const { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Sizes, OnSectors, testing::Values(512U, 4096U));

TEST_P(OnSectors, TheBackupGptMovesToTheEndOfALargerDisk) {
  const Bytes data = noise(3 * MiB, 1), boot = noise(440, 2);
  const Bytes image = make_image(64 * MiB, sector(), kTwoPartitions, {{20 * MiB, data}, {0, boot}});
  for (const std::uint64_t more :
       {std::uint64_t{sector()}, std::uint64_t{7} * sector(), 3 * MiB, 150 * MiB}) {
    const LoopDevice disk(64 * MiB + more, sector());
    const auto outcome = write_and_finish(disk.path(), image);
    ASSERT_TRUE(outcome.finished) << more << outcome.finished.error().message();
    EXPECT_TRUE(outcome.finished->backup_moved);
    EXPECT_EQ(outcome.finished->partitions, 2U);
    EXPECT_EQ(complaints(disk.path(), true), "") << more;
    EXPECT_THAT(dump(disk.path()), HasSubstr("name=\"root\", attrs=\"LegacyBIOSBootable\""));
    EXPECT_THAT(run("sgdisk -p " + disk.path()), HasSubstr("Disk identifier (GUID): "));
    std::string guid = outcome.finished->identifier;
    std::ranges::transform(guid, guid.begin(), [](unsigned char c) { return std::toupper(c); });
    EXPECT_EQ(guid.size(), 36U);
    EXPECT_THAT(run("sgdisk -p " + disk.path()), HasSubstr(guid));
    const Bytes now = disk.content();
    EXPECT_EQ(std::memcmp(now.data(), boot.data(), boot.size()), 0) << "boot code";
    EXPECT_EQ(std::memcmp(now.data() + MiB, image.data() + MiB, 62 * MiB), 0) << more;
    // The image's own backup header is nowhere any more.
    const std::uint64_t old = 64 * MiB - sector();
    if (more > 64ULL * sector()) {
      EXPECT_NE(std::memcmp(now.data() + old, "EFI PART", 8), 0);
    }
    EXPECT_EQ(std::memcmp(now.data() + now.size() - sector(), "EFI PART", 8), 0);
  }
}

TEST_P(OnSectors, ADiskOfTheImagesSizeStaysAsItIs) {
  const Bytes image = make_image(32 * MiB, sector(), "sgdisk -o -n 1:0:+8M -n 2:0:0 DISK");
  const LoopDevice disk(32 * MiB, sector());
  const auto outcome = write_and_finish(disk.path(), image);
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_FALSE(outcome.finished->backup_moved);
  EXPECT_EQ(outcome.finished->table, disk::TableKind::gpt);
  EXPECT_TRUE(disk.content() == image);
}

TEST_P(OnSectors, AConfigDriveGetsAPartitionAtTheEnd) {
  const Bytes drive = iso(400 * KiB + 2048);
  const Bytes image = make_image(64 * MiB, sector(), kTwoPartitions);
  const LoopDevice disk(300 * MiB, sector());
  run("dd if=/dev/urandom of=" + disk.path() + " bs=1M oflag=direct status=none; true");
  const auto outcome = write_and_finish(disk.path(), image, drive);
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_TRUE(outcome.finished->config_drive_added);
  ASSERT_TRUE(outcome.finished->config_drive);
  const auto& partition = *outcome.finished->config_drive;
  EXPECT_EQ(partition.number, 3U);
  EXPECT_EQ(partition.name, "config-2");
  EXPECT_GE(partition.size, 64 * MiB);
  EXPECT_LT(partition.size, 66 * MiB);
  EXPECT_EQ(partition.offset % MiB, 0U);
  EXPECT_GE(partition.offset + partition.size, 299 * MiB);
  EXPECT_EQ(complaints(disk.path(), true), "");
  const Bytes now = disk.content();
  EXPECT_EQ(std::memcmp(now.data() + partition.offset, drive.data(), drive.size()), 0);
  EXPECT_TRUE(
      std::all_of(now.begin() + static_cast<std::ptrdiff_t>(partition.offset + drive.size()),
                  now.begin() + static_cast<std::ptrdiff_t>(partition.offset + partition.size),
                  [](std::byte b) { return b == std::byte{}; }));
  EXPECT_THAT(run("blkid -p -O " + std::to_string(partition.offset) + " " + disk.path()),
              HasSubstr("LABEL=\"config-2\""));
}

TEST_P(OnSectors, AnMbrDiskStaysAsItIsAndTakesAConfigDrive) {
  const auto mib = static_cast<unsigned>(MiB / sector());
  const std::string table =
      "printf 'label: dos\\nlabel-id: 0x12345678\\nstart=" + std::to_string(mib) +
      ",size=" + std::to_string(8 * mib) + ",bootable\\nstart=" + std::to_string(10 * mib) +
      ",size=" + std::to_string(40 * mib) + ",type=5\\nstart=" + std::to_string(11 * mib) +
      ",size=" + std::to_string(4 * mib) + "\\nstart=" + std::to_string(20 * mib) +
      ",size=" + std::to_string(4 * mib) + "\\n' | sfdisk -q DISK";
  const Bytes boot = noise(440, 2);
  const Bytes image = make_image(64 * MiB, sector(), table, {{0, boot}});
  {
    const LoopDevice disk(200 * MiB, sector());
    const auto outcome = write_and_finish(disk.path(), image);
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_EQ(outcome.finished->table, disk::TableKind::dos);
    EXPECT_EQ(outcome.finished->identifier, "0x12345678");
    EXPECT_EQ(outcome.finished->partitions, 4U);
    const Bytes now = disk.content();
    EXPECT_EQ(std::memcmp(now.data(), image.data(), image.size()), 0);
  }
  const LoopDevice disk(200 * MiB, sector());
  const Bytes drive = iso(300 * KiB);
  const auto outcome = write_and_finish(disk.path(), image, drive);
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  ASSERT_TRUE(outcome.finished->config_drive);
  EXPECT_EQ(outcome.finished->config_drive->number, 3U);
  EXPECT_EQ(outcome.finished->config_drive->type, "0x0c");
  EXPECT_EQ(outcome.finished->config_drive->offset, 136 * MiB);
  EXPECT_EQ(complaints(disk.path(), false), "");
  const std::string now = dump(disk.path());
  EXPECT_THAT(now, HasSubstr("label-id: 0x12345678"));
  EXPECT_THAT(now, HasSubstr("diskp5 :"));
  EXPECT_THAT(now, HasSubstr("diskp6 :"));
  const Bytes content = disk.content();
  EXPECT_EQ(std::memcmp(content.data(), boot.data(), boot.size()), 0) << "boot code";
  EXPECT_EQ(std::memcmp(content.data() + MiB, image.data() + MiB, image.size() - MiB), 0);
  EXPECT_EQ(std::memcmp(content.data() + 136 * MiB, drive.data(), drive.size()), 0);
}

TEST_P(OnSectors, ASmallPartitionWhereThereIsNoRoomForALargeOne) {
  const Bytes image = make_image(64 * MiB, sector(), "sgdisk -o -n 1:0:+58M DISK");
  const LoopDevice disk(64 * MiB, sector());
  const auto outcome = write_and_finish(disk.path(), image, iso(600 * KiB));
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_LT(outcome.finished->config_drive->size, 3 * MiB);
  EXPECT_EQ(complaints(disk.path(), true), "");
}

TEST_P(OnSectors, NoRoomLeavesTheDiskUnbootable) {
  const Bytes image = make_image(64 * MiB, sector(), "sgdisk -o -n 1:0:+8M -n 2:0:0 DISK");
  const LoopDevice disk(64 * MiB, sector());
  const auto outcome = write_and_finish(disk.path(), image, iso(600 * KiB));
  ASSERT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.finished.error().code(), Errc::device_no_room);
  EXPECT_FALSE(outcome.committed);
  const Bytes now = disk.content();
  EXPECT_TRUE(std::all_of(now.begin(), now.begin() + static_cast<std::ptrdiff_t>(MiB),
                          [](std::byte b) { return b == std::byte{}; }));
}

TEST_P(OnSectors, AnExistingPartitionIsUsed) {
  for (const bool by_name : {false, true}) {
    const std::string name = by_name ? "Config-2" : "other";
    const Bytes old = iso(200 * KiB);
    const Bytes image =
        make_image(64 * MiB, sector(), "sgdisk -o -n 1:0:+8M -n 2:20M:+4M -c 2:" + name + " DISK",
                   {{20 * MiB, by_name ? noise(200 * KiB, 3) : old}});
    const LoopDevice disk(128 * MiB, sector());
    const Bytes drive = iso(100 * KiB);
    const auto outcome = write_and_finish(disk.path(), image, drive);
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_FALSE(outcome.finished->config_drive_added);
    EXPECT_EQ(outcome.finished->config_drive->number, 2U);
    const Bytes now = disk.content();
    EXPECT_EQ(std::memcmp(now.data() + 20 * MiB, drive.data(), drive.size()), 0);
    EXPECT_EQ(now[20 * MiB + 150 * KiB], std::byte{}) << "the old drive's rest";
    EXPECT_EQ(complaints(disk.path(), true), "");
    // One that is too small is not.
    const auto large = write_and_finish(disk.path(), image, iso(5 * MiB));
    ASSERT_FALSE(large.finished);
    EXPECT_EQ(large.finished.error().code(), Errc::device_no_room);
  }
}

TEST_P(OnSectors, TwoCandidatesAreAnError) {
  const Bytes image =
      make_image(64 * MiB, sector(), "sgdisk -o -n 1:4M:+4M -n 2:20M:+4M -c 2:config-2 DISK",
                 {{4 * MiB, iso(100 * KiB)}});
  const LoopDevice disk(128 * MiB, sector());
  const auto outcome = write_and_finish(disk.path(), image, iso(100 * KiB));
  ASSERT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.finished.error().code(), Errc::image_corrupt);
}

TEST(FinishDisk, HybridAndFlaggedMbrsAreKept) {
  const Bytes hybrid = make_image(64 * MiB, 512, "sgdisk -o -n 1:4M:+8M -n 2:20M:+8M -h 1:2 DISK",
                                  {{0, noise(440, 2)}});
  const LoopDevice first(128 * MiB);
  ASSERT_TRUE(write_and_finish(first.path(), hybrid, iso(100 * KiB)).finished);
  EXPECT_EQ(std::memcmp(first.content().data(), hybrid.data(), 512), 0);
  EXPECT_THAT(run("sgdisk -v " + first.path() + " 2>&1"), HasSubstr("No problems found"));

  // The boot flag that some BIOSes want, in the protective MBR.
  const Bytes flagged = make_image(64 * MiB, 512, kTwoPartitions, {{446, Bytes{std::byte{0x80}}}});
  const LoopDevice second(128 * MiB);
  ASSERT_TRUE(write_and_finish(second.path(), flagged).finished);
  const Bytes now = second.content();
  EXPECT_EQ(now[446], std::byte{0x80});
  std::uint32_t sectors = 0;
  std::memcpy(&sectors, now.data() + 446 + 12, sizeof sectors);
  EXPECT_EQ(sectors, 128 * MiB / 512 - 1);
}

TEST(FinishDisk, AnEntryArrayElsewhereIsFollowed) {
  const Bytes image = make_image(64 * MiB, 512, "sgdisk -o -j 8192 -n 1:16384:+8M -c 1:moved DISK");
  const LoopDevice disk(256 * MiB);
  const auto outcome = write_and_finish(disk.path(), image, iso(100 * KiB));
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_EQ(outcome.finished->partitions, 2U);
  EXPECT_THAT(run("sgdisk -v " + disk.path() + " 2>&1"), HasSubstr("No problems found"));
  EXPECT_THAT(dump(disk.path()), HasSubstr("name=\"moved\""));
  EXPECT_THAT(dump(disk.path()), HasSubstr("name=\"config-2\""));
}

TEST(FinishDisk, FourPrimariesLeaveNoEntry) {
  const Bytes image = make_image(64 * MiB, 512,
                                 "printf 'label: dos\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=4M\\n' | "
                                 "sfdisk -q DISK");
  const LoopDevice disk(256 * MiB);
  const auto outcome = write_and_finish(disk.path(), image, iso(100 * KiB));
  ASSERT_FALSE(outcome.finished);
  EXPECT_EQ(outcome.finished.error().code(), Errc::device_no_room);
  EXPECT_THAT(outcome.finished.error().message(), HasSubstr("four primary"));
}

TEST(FinishDisk, WithoutATableThereIsNothingToDo) {
  const LoopDevice disk(64 * MiB);
  const Bytes image = noise(16 * MiB, 8);
  const auto outcome = write_and_finish(disk.path(), image);
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_EQ(outcome.finished->table, disk::TableKind::none);
  EXPECT_EQ(std::memcmp(disk.content().data(), image.data(), image.size()), 0);
  const auto drive = write_and_finish(disk.path(), image, iso(100 * KiB));
  ASSERT_FALSE(drive.finished);
  EXPECT_EQ(drive.finished.error().code(), Errc::device_no_room);
}

TEST(FinishDisk, ARegularFileIsADiskToo) {
  const TempDir dir;
  for (const unsigned sector : {512U, 4096U}) {
    const Bytes image = make_image(64 * MiB, sector, kTwoPartitions);
    const std::string path = dir.path("disk" + std::to_string(sector));
    run("truncate -s 200M " + path);
    const auto outcome = write_and_finish(path, image, iso(100 * KiB));
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_TRUE(outcome.finished->backup_moved && outcome.finished->config_drive_added);
    if (sector == 512) {
      EXPECT_EQ(complaints(path, true), "");
    }
  }
}

TEST(FinishDisk, ADryRunFindsRoomAndWritesNothing) {
  const Bytes image = make_image(64 * MiB, 512, "sgdisk -o -n 1:0:+8M -n 2:0:0 DISK");
  const LoopDevice disk(256 * MiB);
  const auto outcome = write_and_finish(disk.path(), image, iso(100 * KiB), true);
  ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
  EXPECT_TRUE(outcome.finished->config_drive_added);
  const Bytes now = disk.content();
  EXPECT_TRUE(std::all_of(now.begin(), now.end(), [](std::byte b) { return b == std::byte{}; }));
  const LoopDevice full(64 * MiB);
  EXPECT_FALSE(write_and_finish(full.path(), image, iso(100 * KiB), true).finished);
}

// What a boot loader or a broken tool left of a table: without its primary header, with something
// else over its entries.
Bytes with_damage(Bytes image, unsigned sector, bool header) {
  const std::size_t at = header ? sector : std::size_t{2} * sector;
  std::memset(image.data() + at, 0, header ? sector : 64);
  if (!header) std::memcpy(image.data() + at, "eGON.BT0", 8);
  return image;
}

TEST_P(OnSectors, ADamagedPrimaryGptIsRebuiltFromTheBackup) {
  const Bytes right = make_image(64 * MiB, sector(), kTwoPartitions, {{0, noise(440, 2)}});
  const LoopDevice model(64 * MiB, sector());
  ASSERT_TRUE(write_and_finish(model.path(), right).finished);
  const std::string table = dump(model.path());
  for (const bool header : {true, false}) {
    const Bytes image = with_damage(right, sector(), header);
    for (const std::uint64_t size : {64 * MiB, 64 * MiB + 7 * sector(), 200 * MiB}) {
      for (const bool drive : {false, size == 200 * MiB}) {
        const LoopDevice disk(size, sector());
        const auto outcome = write_and_finish(disk.path(), image,
                                              drive ? std::optional(iso(400 * KiB)) : std::nullopt);
        ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
        EXPECT_THAT(outcome.finished->notes,
                    testing::ElementsAre(HasSubstr("rebuilt from its backup")));
        EXPECT_EQ(complaints(disk.path(), true), "") << size;
        EXPECT_THAT(dump(disk.path()), HasSubstr(table));
        EXPECT_EQ(outcome.finished->partitions, drive ? 3U : 2U);
        const Bytes now = disk.content();
        EXPECT_EQ(std::memcmp(now.data(), image.data(), 440), 0) << "boot code";
        EXPECT_EQ(std::memcmp(now.data() + MiB, image.data() + MiB, 60 * MiB), 0);
        if (size == 200 * MiB) {
          EXPECT_NE(std::memcmp(now.data() + 64 * MiB - sector(), "EFI PART", 8), 0);
        }
      }
      const auto rehearsed = write_and_finish(LoopDevice(size, sector()).path(), image, {}, true);
      ASSERT_TRUE(rehearsed.finished) << rehearsed.finished.error().message();
      EXPECT_THAT(rehearsed.finished->notes, testing::ElementsAre(HasSubstr("rebuilt")));
    }
  }
}

TEST_P(OnSectors, AGptWithoutAGoodCopyIsRefused) {
  for (const bool header : {true, false}) {
    Bytes image = with_damage(make_image(64 * MiB, sector(), kTwoPartitions), sector(), header);
    image[image.size() - sector() + 60] ^= std::byte{1};
    for (const bool dry_run : {false, true}) {
      const LoopDevice disk(128 * MiB, sector());
      const auto outcome = write_and_finish(disk.path(), image, {}, dry_run);
      ASSERT_FALSE(outcome.finished);
      EXPECT_EQ(outcome.finished.error().code(), Errc::image_corrupt);
      EXPECT_THAT(outcome.finished.error().message(),
                  HasSubstr("its backup is damaged or missing"));
      EXPECT_FALSE(outcome.committed);
      const Bytes now = disk.content();
      EXPECT_TRUE(std::all_of(now.begin(), now.begin() + MiB,
                              [](std::byte b) { return b == std::byte{}; }));
    }
  }
}

TEST_P(OnSectors, AGptForALargerDiskGetsThisDisksEnd) {
  Bytes image = make_image(512 * MiB, sector(), kTwoPartitions);
  image.resize(60 * MiB);
  for (const std::uint64_t size : {60 * MiB, 96 * MiB, 512 * MiB, 600 * MiB}) {
    const LoopDevice disk(size, sector());
    const auto outcome = write_and_finish(disk.path(), image);
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_EQ(complaints(disk.path(), true), "") << size;
    EXPECT_EQ(outcome.finished->partitions, 2U);
    EXPECT_EQ(outcome.finished->notes.size(), size == 600 * MiB ? 0U : 1U);
    EXPECT_EQ(std::memcmp(disk.content().data() + MiB, image.data() + MiB, 58 * MiB), 0);
  }
}

TEST_P(OnSectors, APartitionBehindTheDiskIsRefusedBeforeItIsTouched) {
  const auto mib = static_cast<unsigned>(MiB / sector());
  const std::string mbr = "printf 'label: dos\\nstart=" + std::to_string(mib) +
                          ",size=" + std::to_string(8 * mib) +
                          "\\nstart=" + std::to_string(9 * mib) +
                          ",size=" + std::to_string(200 * mib) + "\\n' | sfdisk -q DISK";
  // An MBR cut short like that is taken for one with sectors of 512 bytes.
  for (const bool gpt : {true, sector() != 512}) {
    Bytes image =
        make_image(300 * MiB, sector(), gpt ? "sgdisk -o -n 1:1M:+8M -n 2:9M:+200M DISK" : mbr);
    image.resize(64 * MiB);
    // The backup takes as much as a table has at its end.
    const std::uint64_t needed = 209 * MiB + (gpt ? 16 * KiB + sector() : 0);
    for (const bool dry_run : {false, true}) {
      const LoopDevice disk(needed - sector(), sector());
      run("dd if=/dev/urandom of=" + disk.path() + " bs=1M count=3 oflag=direct status=none");
      const Bytes before = disk.content();
      const auto outcome = write_and_finish(disk.path(), image, {}, dry_run);
      ASSERT_FALSE(outcome.finished);
      EXPECT_EQ(outcome.finished.error().code(), Errc::device_too_small);
      EXPECT_THAT(outcome.finished.error().message(), HasSubstr("partition 2 "));
      EXPECT_THAT(outcome.finished.error().message(), HasSubstr(std::to_string(needed) + " bytes"));
      EXPECT_TRUE(disk.content() == before);
    }
    const LoopDevice enough(needed, sector());
    ASSERT_TRUE(write_and_finish(enough.path(), image).finished);
    EXPECT_EQ(complaints(enough.path(), gpt), "");
  }
}

TEST_P(OnSectors, TheBackupGptIsMadeToSayWhatThePrimarySays) {
  Bytes image = make_image(64 * MiB, sector(), kTwoPartitions);
  const Bytes other = make_image(64 * MiB, sector(), "sgdisk -o -n 1:0:+9M -c 1:other DISK");
  const std::size_t table = 16 * KiB + sector();
  for (const bool valid : {true, false}) {
    const std::size_t at = image.size() - table;
    if (valid)
      std::memcpy(image.data() + at, other.data() + at, table);
    else
      std::memset(image.data() + at, 0, table);
    const LoopDevice disk(64 * MiB, sector());
    const auto outcome = write_and_finish(disk.path(), image);
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_THAT(
        outcome.finished->notes,
        testing::ElementsAre(HasSubstr(valid ? "does not say the same" : "damaged or missing")));
    EXPECT_EQ(complaints(disk.path(), true), "");
    EXPECT_THAT(dump(disk.path()), HasSubstr("name=\"root\""));
    EXPECT_EQ(std::memcmp(disk.content().data(), image.data(), at), 0)
        << "all but the backup stays";
  }
}

TEST(FinishDisk, TablesForOtherSectorsAreRefusedBeforeTheDiskIsTouched) {
  const Bytes mbr = make_image(64 * MiB, 512,
                               "printf 'label: dos\\nstart=2048,size=20480\\n"
                               "start=22528,size=100000\\n' | sfdisk -q DISK");
  const Bytes gpt = make_image(64 * MiB, 512, kTwoPartitions);
  const Bytes gpt_4096 = make_image(64 * MiB, 4096, kTwoPartitions);
  for (const auto& [image, sector] : {std::pair(&mbr, 4096U), {&gpt, 4096U}, {&gpt_4096, 512U}}) {
    // On a disk of 600 MiB an MBR's partitions would fit, but not be where they are in the image.
    for (const std::uint64_t size : {96 * MiB, 600 * MiB}) {
      const LoopDevice disk(size, sector);
      run("dd if=/dev/urandom of=" + disk.path() + " bs=1M count=3 oflag=direct status=none");
      const Bytes before = disk.content();
      const auto outcome = write_and_finish(disk.path(), *image);
      ASSERT_FALSE(outcome.finished) << sector;
      EXPECT_EQ(outcome.finished.error().code(), Errc::device_sector_size);
      EXPECT_TRUE(disk.content() == before);
    }
  }
}

TEST(FinishDisk, EntriesThatReachIntoTheMiddleAreWrittenThere) {
  // The backup's lie across the beginning of the last MiB.
  const Bytes large = make_image(64 * MiB, 512, "sgdisk -o -S 8192 -n 1:0:+10M DISK");
  // The primary one's lie across the end of the first MiB; a boot loader is where others have them.
  const Bytes boot = noise(1024, 6);
  const Bytes moved =
      make_image(64 * MiB, 512,
                 "sgdisk -o -j 2047 DISK; for n in 1 2 3 4 5 6 7; do sgdisk -n $n:0:+1M DISK; done",
                 {{8192, boot}});
  Bytes damaged = moved;
  std::memset(damaged.data() + 2047 * 512, 0, 2048);
  for (const auto& [image, partitions] : {std::pair(&large, 1U), {&moved, 7U}, {&damaged, 7U}}) {
    for (const std::uint64_t size : {64 * MiB, 96 * MiB}) {
      for (const bool drive : {false, true}) {
        const LoopDevice disk(size);
        const auto outcome = write_and_finish(disk.path(), *image,
                                              drive ? std::optional(iso(100 * KiB)) : std::nullopt);
        ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
        EXPECT_EQ(outcome.finished->partitions, drive ? partitions + 1 : partitions);
        EXPECT_EQ(complaints(disk.path(), true), "") << partitions << " " << size << " " << drive;
        if (image != &large) {
          EXPECT_EQ(std::memcmp(disk.content().data() + 8192, boot.data(), boot.size()), 0);
        }
      }
    }
  }
}

TEST(FinishDisk, ZeroingTheOldBackupSparesTheNewTable) {
  // A backup of fewer entries lies where the new one, of more, has used ones.
  Bytes few = make_image(64 * MiB, 512, "sgdisk -o -n 1:4096:8191 -n 80:10240:12287 DISK");
  const Bytes other = make_image(64 * MiB, 512, "sgdisk -o -S 4 -n 1:4096:8191 DISK");
  std::memcpy(few.data() + few.size() - 1024, other.data() + other.size() - 1024, 1024);
  // Both copies have the same entries.
  Bytes shared = make_image(64 * MiB, 512, "sgdisk -o -n 1:4096:8191 DISK");
  const auto primary = std::span(shared).subspan(512, 512);
  auto header = disk::parse_gpt_header(primary, 1).value();
  header.alternate = 34;
  header.first_usable = 35;
  disk::put_gpt_header(primary, header);
  const auto backup = std::span(shared).subspan(34 * 512, 512);
  std::ranges::copy(primary, backup.begin());
  std::swap(header.lba, header.alternate);
  disk::put_gpt_header(backup, header);
  for (const auto& [image, more] : {std::pair(&few, 13 * 512), {&shared, 0}, {&shared, 8 << 20}}) {
    const LoopDevice disk(64 * MiB + static_cast<unsigned>(more));
    const auto outcome = write_and_finish(disk.path(), *image);
    ASSERT_TRUE(outcome.finished) << outcome.finished.error().message();
    EXPECT_EQ(complaints(disk.path(), true), "") << more;
  }
}

// Tables from a hostile image: any answer will do, but nothing outside the disk and no crash.
TEST(FinishDisk, DamagedTablesDoNotCrash) {
  const Bytes gpt = make_image(8 * MiB, 512, "sgdisk -o -n 1:0:+2M -n 2:0:0 DISK");
  const Bytes mbr =
      make_image(8 * MiB, 512,
                 "printf 'label: dos\\nsize=1M\\nstart=4096,type=5\\nsize=1M\\n' | sfdisk "
                 "-q DISK");
  std::minstd_rand random(7);
  const TempDir dir;
  const std::string path = dir.path("disk");
  run("truncate -s 16M " + path);
  for (int round = 0; round < 150; ++round) {
    Bytes image = round % 2 == 0 ? gpt : mbr;
    const std::size_t places = round % 2 == 0 ? 1024 + 128 * 4 : 512;
    for (auto flips = 1 + random() % 6; flips > 0; --flips) {
      const std::size_t at = random() % 3 == 0 && round % 2 == 1 ? 4096 * 512 + 446 + random() % 66
                                                                 : 440 + random() % (places - 440);
      image[at] = static_cast<std::byte>(random());
    }
    const auto outcome = write_and_finish(path, image, iso(40 * KiB));
    if (!outcome.finished) {
      EXPECT_NE(outcome.finished.error().code(), Errc::internal_bug)
          << round << outcome.finished.error().message();
    }
  }
}

}  // namespace
}  // namespace ingot::test
