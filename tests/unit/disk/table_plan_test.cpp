// The judge of partition tables, on images that are known in part or whole, of tables by sgdisk and
// sfdisk. Writes no disk.
#include "disk/table/table_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "disk/core/units.hpp"
#include "disk/table/gpt.hpp"
#include "tests/support/command.hpp"

namespace ingot::test {
namespace {

using Bytes = std::vector<std::byte>;
using testing::HasSubstr;

Bytes image_of(std::uint64_t size, const std::string& commands) {
  const TempDir dir;
  const std::string path = dir.path("image");
  std::string script = "truncate -s " + std::to_string(size) + " IMAGE; " + commands;
  for (auto at = script.find("IMAGE"); at != std::string::npos; at = script.find("IMAGE"))
    script.replace(at, 5, path);
  run("(" + script + ") 2>&1");
  return read_file(path);
}

// Of `image` only [0, known) and, with `ends`, its last MiB can be read.
disk::ImageView view_of(const Bytes& image, std::uint64_t known, bool ends, bool final = false) {
  const auto read = [&image, known, ends](std::uint64_t offset,
                                          std::span<std::byte> bytes) -> Result<bool> {
    const std::uint64_t end = offset + bytes.size();
    if (end > image.size()) return fail(Errc::internal_bug, "read behind the image");
    if (end > known && (!ends || offset + MiB < image.size())) return false;
    std::memcpy(bytes.data(), image.data() + offset, bytes.size());
    return true;
  };
  return {image.size(), read, final};
}

disk::TableDisk disk_of(std::uint64_t size, std::uint32_t sector = 512) {
  return {"/dev/test", size, sector, true};
}

// "known", "unknown", or the error's code.
std::string verdict(const disk::ImageView& view, const disk::TableDisk& disk,
                    std::optional<std::uint64_t> drive = {}) {
  const auto plan = disk::plan_table(view, disk, drive);
  if (!plan) return std::string(name(plan.error().code()));
  return plan->known ? "known" : "unknown";
}

const std::string kGpt = "sgdisk -o -n 1:1M:+8M -n 2:16M:+40M -c 2:root IMAGE";

TEST(TablePlan, AHeadThatIsNotThereTellsNothing) {
  const Bytes image = image_of(64 * MiB, kGpt);
  EXPECT_EQ(verdict(view_of(image, 512 * KiB, false), disk_of(96 * MiB)), "unknown");
  EXPECT_EQ(verdict(view_of(image, MiB, false), disk_of(96 * MiB)), "known");
}

TEST(TablePlan, ADamagedPrimaryWaitsForTheEnd) {
  Bytes image = image_of(64 * MiB, kGpt);
  std::memset(image.data() + 512, 0, 512);
  EXPECT_EQ(verdict(view_of(image, MiB, false), disk_of(96 * MiB)), "unknown");
  const auto plan = disk::plan_table(view_of(image, MiB, true), disk_of(96 * MiB), {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_TRUE(plan->known && plan->changed);
  EXPECT_EQ(plan->partitions.size(), 2U);
  EXPECT_EQ(plan->stale_backup, 64 * MiB - 512);
  image[64 * MiB - 512 + 40] ^= std::byte{1};
  EXPECT_EQ(verdict(view_of(image, MiB, true), disk_of(96 * MiB)), "image.corrupt");
  // The size is part of the question.
  auto unsized = view_of(image, MiB, true);
  unsized.size.reset();
  EXPECT_EQ(verdict(unsized, disk_of(96 * MiB)), "unknown");
}

TEST(TablePlan, ARightTableIsLeftAlone) {
  const Bytes image = image_of(64 * MiB, kGpt);
  const auto plan = disk::plan_table(view_of(image, image.size(), false), disk_of(64 * MiB), {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_FALSE(plan->changed || plan->backup_moved);
  EXPECT_TRUE(plan->notes.empty());
  const auto larger = disk::plan_table(view_of(image, image.size(), false), disk_of(65 * MiB), {});
  ASSERT_TRUE(larger) << larger.error().message();
  EXPECT_TRUE(larger->changed && larger->backup_moved);
  EXPECT_TRUE(larger->notes.empty());
}

TEST(TablePlan, ABackupPlaceThatCanBeUsedIsCorrected) {
  // What sgdisk -e would repair: made for a disk of one sector more at the end.
  Bytes image = image_of(64 * MiB, kGpt);
  image.resize(64 * MiB - 512);
  const auto plan =
      disk::plan_table(view_of(image, image.size(), false), disk_of(image.size()), {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_TRUE(plan->changed);
  EXPECT_THAT(plan->notes, testing::ElementsAre(HasSubstr("made for a larger disk, of 131072")));
}

// Changes fields of both headers and makes their checksums right.
template <class Change>
Bytes with_headers(Bytes image, Change change) {
  for (const std::size_t at : {std::size_t{512}, image.size() - 512}) {
    const auto sector = std::span(image).subspan(at, 512);
    auto header = disk::parse_gpt_header(sector, at / 512).value();
    change(header);
    disk::put_gpt_header(sector, header);
  }
  return image;
}

// What sgdisk says of the disk that a plan makes of `image`.
std::string sgdisk_on(const disk::TablePlan& plan) {
  const TempDir dir;
  Bytes whole(plan.disk->size());
  if (!plan.disk->get(0, whole)) return "not read";
  std::ofstream(dir.path("disk"), std::ios::binary)
      .write(reinterpret_cast<const char*>(whole.data()),
             static_cast<std::streamsize>(whole.size()));
  return run("sgdisk -v " + dir.path("disk") + " 2>&1; sgdisk -p " + dir.path("disk"));
}

TEST(TablePlan, AWrongUsableRangeIsCorrected) {
  const Bytes right = image_of(64 * MiB, "sgdisk -o -n 1:2048:4095 -n 2:100000:120000 IMAGE");
  using Header = disk::GptHeader;
  // In the table itself; behind a partition; before another; over the backup's entries.
  const std::pair<Bytes, std::string> images[] = {
      {with_headers(right, [](Header& header) { header.first_usable = 10; }), "can be used are"},
      {with_headers(right, [](Header& header) { header.first_usable = 3000; }), "can be used are"},
      {with_headers(right, [](Header& header) { header.last_usable = 90000; }), "can be used are"},
      {with_headers(right, [](Header& header) { header.last_usable = 131060; }),
       "the place of its backup"}};
  for (const auto& [image, note] : images) {
    const auto plan =
        disk::plan_table(view_of(image, image.size(), false), disk_of(image.size()), {});
    ASSERT_TRUE(plan) << plan.error().message();
    EXPECT_TRUE(plan->changed);
    EXPECT_THAT(plan->notes, testing::ElementsAre(HasSubstr(note)));
    EXPECT_THAT(sgdisk_on(*plan), HasSubstr("No problems found"));
    const auto larger =
        disk::plan_table(view_of(image, image.size(), false), disk_of(96 * MiB), {});
    ASSERT_TRUE(larger) << larger.error().message();
    const std::string now = sgdisk_on(*larger);
    EXPECT_THAT(now, HasSubstr("No problems found"));
    EXPECT_THAT(now, testing::ContainsRegex("First usable sector is (34|2048),"));
  }
}

TEST(TablePlan, EntriesThatLinuxDoesNotReadAreRefused) {
  const Bytes right = image_of(64 * MiB, "sgdisk -o -n 1:2048:4095 IMAGE");
  const std::tuple<std::uint32_t, std::uint32_t, std::string> cases[] = {
      {64, 256, "entries of 256 bytes"}, {16384, 128, "16384 entries"}, {0, 128, "0 entries"}};
  for (const auto& [count, size, what] : cases) {
    Bytes image = right;
    for (const std::size_t at : {std::size_t{512}, image.size() - 512}) {
      std::memcpy(image.data() + at + 80, &count, sizeof count);
      std::memcpy(image.data() + at + 84, &size, sizeof size);
      const auto sector = std::span(image).subspan(at, 512);
      auto header = disk::parse_gpt_header(std::span(right).subspan(at, 512), at / 512).value();
      disk::put_gpt_header(sector, header);
    }
    // Of the primary one, and of a backup that would take its place.
    for (const bool damaged : {false, true}) {
      if (damaged) std::memset(image.data() + 512, 0, 512);
      const auto plan =
          disk::plan_table(view_of(image, image.size(), false), disk_of(96 * MiB), {});
      ASSERT_FALSE(plan) << what << damaged;
      EXPECT_EQ(plan.error().code(), Errc::image_corrupt);
      EXPECT_THAT(plan.error().message(), HasSubstr(what)) << damaged;
    }
  }
}

TEST(TablePlan, OverlappingPartitionsOfAnMbrAreRefused) {
  struct Entry {
    std::uint8_t type;
    std::uint32_t first, count;
  };
  const auto verdict_on = [](std::vector<Entry> entries) {
    Bytes image(16 * MiB);
    std::byte* at = image.data() + 446;
    for (const Entry& entry : entries) {
      at[4] = static_cast<std::byte>(entry.type);
      std::memcpy(at + 8, &entry.first, 4);
      std::memcpy(at + 12, &entry.count, 4);
      at += 16;
    }
    image[510] = std::byte{0x55};
    image[511] = std::byte{0xAA};
    return verdict(view_of(image, MiB, false), disk_of(16 * MiB));
  };
  EXPECT_EQ(verdict_on({{0x83, 2048, 4096}, {0x83, 4096, 4096}}), "image.corrupt");
  EXPECT_EQ(verdict_on({{0x83, 4096, 4096}, {0x82, 20000, 8}, {7, 8191, 1}}), "image.corrupt");
  EXPECT_EQ(verdict_on({{0x83, 0, 4096}, {0x83, 2048, 4096}}), "image.corrupt");
  EXPECT_EQ(verdict_on({{0x83, 2048, 2048}, {0x83, 4096, 4096}}), "known");
  // What images for optical and other disks alike have: one around all, or one for EFI inside.
  EXPECT_EQ(verdict_on({{0x17, 0, 20000}, {0x83, 2048, 4096}}), "known");
  EXPECT_EQ(verdict_on({{0xcd, 64, 20000}, {0xef, 2048, 4096}}), "known");
  EXPECT_EQ(verdict_on({{0, 2048, 20000}, {0x83, 2048, 4096}}), "known");
}

TEST(TablePlan, ANoRoomThatALabelCouldChangeWaits) {
  const Bytes full = image_of(64 * MiB, "sgdisk -o -n 1:1M:+8M -n 2:9M:0 IMAGE");
  EXPECT_EQ(verdict(view_of(full, MiB, false), disk_of(64 * MiB), MiB), "unknown");
  EXPECT_EQ(verdict(view_of(full, full.size(), false), disk_of(64 * MiB), MiB), "device.no-room");
  EXPECT_EQ(verdict(view_of(full, MiB, false, true), disk_of(64 * MiB), MiB), "device.no-room");
  EXPECT_EQ(verdict(view_of(full, MiB, false), disk_of(96 * MiB), MiB), "known");
  const Bytes named = image_of(64 * MiB, "sgdisk -o -n 1:1M:+8M -c 1:config-2 -n 2:9M:0 IMAGE");
  EXPECT_EQ(verdict(view_of(named, MiB, false), disk_of(64 * MiB), MiB), "known");
  EXPECT_EQ(verdict(view_of(named, MiB, false), disk_of(64 * MiB), 9 * MiB), "device.no-room");
}

TEST(TablePlan, EntriesThatAreElsewhereAreFollowed) {
  Bytes image = image_of(64 * MiB, "sgdisk -o -j 8192 -n 1:16384:+8M IMAGE");
  EXPECT_EQ(verdict(view_of(image, MiB, true), disk_of(96 * MiB)), "unknown");
  EXPECT_EQ(verdict(view_of(image, image.size(), false), disk_of(96 * MiB)), "known");
  // Rebuilt where its maker put them: what such a board has behind its header stays.
  std::memset(image.data() + 8192 * 512, 0x5a, 128);
  std::memset(image.data() + 1024, 0xab, 512);
  const auto plan = disk::plan_table(view_of(image, image.size(), false), disk_of(96 * MiB), {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->partitions.size(), 1U);
  Bytes kept(512);
  ASSERT_TRUE(plan->disk->get(1024, kept));
  EXPECT_EQ(kept, Bytes(512, std::byte{0xab}));
}

TEST(TablePlan, AFileSystemsBootSectorIsNoTable) {
  const Bytes image = image_of(64 * MiB, "mkfs.vfat -F 32 IMAGE");
  const auto plan = disk::plan_table(view_of(image, image.size(), false), disk_of(64 * MiB), {});
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_FALSE(plan->changed);
  // Boot code where entries would be.
  Bytes odd = image;
  std::memset(odd.data() + 446, 0x61, 64);
  EXPECT_EQ(verdict(view_of(odd, odd.size(), false), disk_of(64 * MiB)), "known");
}

TEST(TablePlan, ALogicalPartitionBehindTheDiskIsFound) {
  Bytes image = image_of(300 * MiB,
                         "printf 'label: dos\\nstart=2048,size=40960\\nstart=43008,size=100000,"
                         "type=5\\nstart=45056,size=20480\\n' | sfdisk -q IMAGE");
  // The extended partition fits; its logical one says more than that.
  const std::uint32_t sectors = 400'000;
  std::memcpy(image.data() + 43008 * 512 + 446 + 12, &sectors, sizeof sectors);
  image.resize(64 * MiB);
  EXPECT_EQ(verdict(view_of(image, MiB, false), disk_of(96 * MiB)), "known");
  EXPECT_EQ(verdict(view_of(image, image.size(), false), disk_of(96 * MiB)), "device.too-small");
  EXPECT_EQ(verdict(view_of(image, image.size(), false), disk_of(400 * MiB)), "known");
}

// Any answer will do, but no crash, no read behind the image, and no table that sgdisk objects to.
TEST(TablePlan, HostileTablesGetAnAnswer) {
  const Bytes gpt = image_of(8 * MiB, "sgdisk -o -n 1:1M:+2M -n 2:4M:+1M IMAGE");
  std::minstd_rand random(11);
  const TempDir dir;
  int right = 0, refused = 0;
  for (int round = 0; round < 300; ++round) {
    Bytes image = gpt;
    // Both copies, their entries, and the protective MBR.
    const std::size_t places[] = {512, 1024, image.size() - 512, image.size() - 33 * 512, 446};
    for (auto flips = random() % 4; flips > 0; --flips)
      image[places[random() % 5] + random() % 96] = static_cast<std::byte>(random());
    if (random() % 4 == 0) image.resize(image.size() - random() % (4 * MiB));
    const std::uint64_t size = std::max<std::uint64_t>(image.size(), (5 + random() % 5) * MiB);
    const bool all = random() % 2 == 0;
    const auto plan = disk::plan_table(view_of(image, all ? image.size() : MiB, all, all),
                                       disk_of(align_up(size, 512)), {});
    if (!plan) {
      ++refused;
      EXPECT_NE(plan.error().code(), Errc::internal_bug) << round << plan.error().message();
    } else if (all && plan->known && plan->table == disk::TableKind::gpt && plan->changed) {
      ++right;
      Bytes whole(plan->disk->size());
      ASSERT_TRUE(plan->disk->get(0, whole));
      std::ofstream(dir.path("disk"), std::ios::binary)
          .write(reinterpret_cast<const char*>(whole.data()),
                 static_cast<std::streamsize>(whole.size()));
      EXPECT_THAT(run("sgdisk -v " + dir.path("disk") + " 2>&1; true"),
                  HasSubstr("No problems found"))
          << round;
    }
  }
  EXPECT_GT(right, 20);
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace ingot::test
