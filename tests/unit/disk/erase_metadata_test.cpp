// Erasing metadata, on real disks' contents made by the real tools, judged by blkid and wipefs.
// Needs root.
#include "tests/unit/disk/erase_rig.hpp"

namespace ingot::test {
namespace {

using disk::EraseMethod;

class EraseMetadata : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { ASSERT_EQ(::geteuid(), 0U) << "these tests need root"; }
};

INSTANTIATE_TEST_SUITE_P(Sectors, EraseMetadata, testing::Values(512U, 4096U),
                         [](const auto& tested) { return std::to_string(tested.param); });

TEST_P(EraseMetadata, GptWithFileSystems) {
  const unsigned sector = GetParam();
  const std::string s = std::to_string(sector);
  const LoopDevice loop(1200 * MiB, sector);
  const std::vector<Part> parts = {{1 * MiB, 64 * MiB},
                                   {65 * MiB, 320 * MiB},
                                   {385 * MiB, 200 * MiB},
                                   {585 * MiB, 64 * MiB},
                                   {649 * MiB, 64 * MiB}};
  run("sgdisk -n 1:1M:+64M -n 2:65M:+320M -n 3:385M:+200M -n 4:585M:+64M -n 5:649M:+64M " +
      loop.path());
  place(loop.path(), parts[0], "mkfs.ext4 -q -F FILE");
  place(loop.path(), parts[1], "mkfs.xfs -q -s size=" + s + " FILE");
  place(loop.path(), parts[2], "mkfs.btrfs -q FILE");
  place(loop.path(), parts[3], "mkswap FILE");
  place(loop.path(), parts[4], "mkfs.vfat -S " + s + " FILE");
  for (const std::uint64_t at : {20 * MiB, 300 * MiB, 500 * MiB, 620 * MiB, 800 * MiB})
    mark(loop.path(), at);
  ASSERT_NE(seen(loop.backing(), parts[1], sector).find("xfs"), std::string::npos);
  // btrfs has a copy of its superblock there, which wipefs does not know.
  ASSERT_EQ(bytes_at(loop.backing(), parts[2].offset + 64 * MiB + 64, 8), "_BHRfS_M");

  const auto outcome = erase_disk(loop.path(), EraseMethod::metadata);
  expect_done(outcome);
  for (const auto& [type, region] :
       std::vector<std::pair<std::string, std::string>>{{"gpt", "the disk"},
                                                        {"PMBR", "the disk"},
                                                        {"ext4", "partition 1"},
                                                        {"xfs", "partition 2"},
                                                        {"btrfs", "partition 3"},
                                                        {"btrfs (mirror)", "partition 3"},
                                                        {"swap", "partition 4"},
                                                        {"vfat", "partition 5"}})
    EXPECT_TRUE(has(outcome.found, type, region)) << type << "\n" << describe(outcome.found);

  EXPECT_EQ(seen(loop.backing(), {0, 1200 * MiB}, sector), "");
  for (const auto& part : parts) {
    EXPECT_EQ(seen(loop.backing(), part, sector), "");
    expect_zeros(loop.backing(), part.offset, 1 * MiB);
    expect_zeros(loop.backing(), part.offset + part.size - 1 * MiB, 1 * MiB);
  }
  expect_zeros(loop.backing(), 0, 1 * MiB);
  expect_zeros(loop.backing(), 1199 * MiB, 1 * MiB);
  expect_zeros(loop.backing(), parts[2].offset + 64 * MiB, 4096);
  for (const std::uint64_t at : {20 * MiB, 300 * MiB, 500 * MiB, 620 * MiB, 800 * MiB})
    expect_mark(loop.backing(), at);
}

TEST_P(EraseMetadata, MbrWithLogicalPartitions) {
  const unsigned sector = GetParam();
  const LoopDevice loop(200 * MiB, sector);
  const auto sectors = [&](std::uint64_t bytes) { return std::to_string(bytes / sector); };
  run("printf 'label: dos\\nstart=" + sectors(1 * MiB) + ",size=" + sectors(40 * MiB) +
      ",type=83\\nstart=" + sectors(48 * MiB) + ",size=" + sectors(140 * MiB) +
      ",type=5\\nstart=" + sectors(50 * MiB) + ",size=" + sectors(40 * MiB) +
      ",type=83\\nstart=" + sectors(96 * MiB) + ",size=" + sectors(40 * MiB) +
      ",type=82\\nstart=" + sectors(140 * MiB) + ",size=" + sectors(40 * MiB) +
      ",type=83\\n' | sfdisk --quiet --no-reread --no-tell-kernel " + loop.path());
  const std::vector<Part> parts = {
      {1 * MiB, 40 * MiB}, {50 * MiB, 40 * MiB}, {96 * MiB, 40 * MiB}, {140 * MiB, 40 * MiB}};
  for (const std::size_t i : {0U, 1U, 3U}) place(loop.path(), parts[i], "mkfs.ext4 -q -F FILE");
  place(loop.path(), parts[2], "mkswap FILE");
  mark(loop.path(), 70 * MiB);

  const auto outcome = erase_disk(loop.path(), EraseMethod::metadata);
  expect_done(outcome);
  EXPECT_TRUE(has(outcome.found, "ext4", "partition 5")) << describe(outcome.found);
  EXPECT_TRUE(has(outcome.found, "swap", "partition 6")) << describe(outcome.found);
  EXPECT_TRUE(has(outcome.found, "ext4", "partition 7")) << describe(outcome.found);
  int records = 0;
  for (const auto& signature : outcome.found.signatures)
    if (signature.type == "dos (extended boot record)") {
      ++records;
      expect_zeros(loop.backing(), signature.offset, sector);
    }
  EXPECT_EQ(records, 3);
  EXPECT_EQ(seen(loop.backing(), {0, 200 * MiB}, sector), "");
  for (const auto& part : parts) EXPECT_EQ(seen(loop.backing(), part, sector), "");
  // Where the extended partition, and each link in it, began.
  EXPECT_EQ(seen(loop.backing(), {48 * MiB, 140 * MiB}, sector), "");
  expect_mark(loop.backing(), 70 * MiB);
}

TEST_P(EraseMetadata, VolumesAndArrays) {
  const unsigned sector = GetParam();
  const LoopDevice loop(400 * MiB, sector);
  run("sgdisk -n 1:1M:+64M -n 2:65M:+64M -n 3:129M:+64M -n 4:193M:+64M " + loop.path());
  const std::vector<Part> parts = {
      {1 * MiB, 64 * MiB}, {65 * MiB, 64 * MiB}, {129 * MiB, 64 * MiB}, {193 * MiB, 64 * MiB}};
  place(loop.path(), parts[1],
        "printf pass | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 FILE -");
  place(loop.path(), parts[2],
        "printf pass | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 "
        "--pbkdf-force-iterations 1000 FILE -");
  place(loop.path(), parts[3], "make-bcache -B FILE");
  // A physical volume is made on the disk itself, over what will be partition 1.
  {
    const LoopDevice volume(64 * MiB, sector);
    run("pvcreate --devices " + volume.path() + " -ff -y --nolocking " + volume.path());
    run("dd if=" + volume.path() + " of=" + loop.path() +
        " bs=1M seek=1 conv=notrunc,fsync status=none");
  }
  for (const auto& [part, type] : std::vector<std::pair<std::size_t, std::string>>{
           {0, "LVM2_member"}, {1, "crypto_LUKS"}, {2, "crypto_LUKS"}, {3, "bcache"}})
    ASSERT_NE(seen(loop.backing(), parts[part], sector).find(type), std::string::npos) << type;

  const auto outcome = erase_disk(loop.path(), EraseMethod::metadata);
  expect_done(outcome);
  EXPECT_TRUE(has(outcome.found, "LVM2_member", "partition 1")) << describe(outcome.found);
  EXPECT_TRUE(has(outcome.found, "crypto_LUKS", "partition 2"));
  EXPECT_TRUE(has(outcome.found, "crypto_LUKS", "partition 3"));
  EXPECT_TRUE(has(outcome.found, "bcache", "partition 4"));
  EXPECT_EQ(seen(loop.backing(), {0, 400 * MiB}, sector), "");
  for (const auto& part : parts) EXPECT_EQ(seen(loop.backing(), part, sector), "");
}

}  // namespace
}  // namespace ingot::test
