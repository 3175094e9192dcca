// make_boot_entries() on loop devices with real partition tables and FAT file systems; what it has
// efibootmgr do. Needs root.
#include "disk/boot/boot_entries.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "disk/boot/boot_manager.hpp"
#include "disk/boot/fat_tree.hpp"
#include "disk/core/units.hpp"
#include "tests/support/boot_disk.hpp"

namespace ingot::test {
namespace {

using disk::BootEntry;
using disk::BootOutcome;
using disk::FirmwareEntry;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Call = std::vector<std::string>;

const std::string kGpt = "label: gpt\nstart=2048, size=32768, type=U\n";

class BootEntriesTest : public testing::Test {
 protected:
  Result<disk::BootEntries> make(const std::string& device, const std::string& uuid = "",
                                 const std::stop_token& stop = {}) {
    return disk::make_boot_entries(
        device,
        {.partition_uuid = uuid, .sysfs = firmware.sysfs(), .efibootmgr = firmware.efibootmgr()},
        stop);
  }
  disk::BootEntries made(const std::string& device, const std::string& uuid = "") {
    auto result = make(device, uuid);
    EXPECT_TRUE(result) << result.error().message();
    return result ? *result : disk::BootEntries{};
  }
  void refused(const std::string& device, Errc code, const std::string& part,
               const std::string& uuid = "") {
    const auto result = make(device, uuid);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    EXPECT_THAT(result.error().message(), HasSubstr(part));
    EXPECT_THAT(result.error().advice(), Not(IsEmpty()));
  }

  Firmware firmware;
};

void put_debian(BootDisk& disk) {
  disk.put("EFI/BOOT/BOOTX64.EFI");
  disk.put("EFI/debian/shimx64.efi");
  disk.put("EFI/debian/BOOTX64.CSV", utf16(u"shimx64.efi,debian,,This is the boot entry\n"));
}

TEST_F(BootEntriesTest, EntryOfTheVendor) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  put_debian(disk);
  const auto before = disk.disk().content();
  const auto result = made(disk.path());
  EXPECT_EQ(result.outcome, BootOutcome::from_csv);
  EXPECT_THAT(result.created,
              ElementsAre(BootEntry{"debian", "\\EFI\\debian\\shimx64.efi", "", 1}));
  EXPECT_THAT(result.removed, IsEmpty());
  EXPECT_THAT(firmware.calls(),
              ElementsAre(Call{"-v"}, Call{"-q", "-c", "-d", disk.path(), "-p", "1", "-L", "debian",
                                           "-l", "\\EFI\\debian\\shimx64.efi"}));
  EXPECT_TRUE(disk.disk().content() == before) << "the disk was written to";
  EXPECT_EQ(run("ls -a /dev | grep -c '^[.]ingot-boot' || true"), "0\n");
}

TEST_F(BootEntriesTest, FirstOfTheFileIsMadeLastAndOldOnesGo) {
  BootDisk disk("label: gpt\nstart=2048, size=2048, type=L\nstart=4096, size=32768, type=U\n");
  disk.format(4096, 32768);
  disk.put("EFI/x/a.efi");
  disk.put("EFI/x/b.efi");
  disk.put("EFI/x/BOOTX64.CSV", utf16(u"a.efi,Erste Größe\nb.efi,second,quiet splash \n"));
  firmware.entries(
      "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: 0003,0001\n"
      "Boot0001* Erste Größe\tHD(1,GPT,6a1e,0x800,0x100000)/File(\\EFI\\old.efi)\n"
      "Boot0002* second\tPciRoot(0x0)/Pci(0x3,0x0)/MAC(525400,0)/IPv4(0.0.0.0)\n"
      "Boot000A  second\tPciRoot(0x0)/Pci(0x4,0x0)/HD(1,MBR,0x1)/File(\\b.efi)RC\n"
      "Boot000B* second best\tHD(1,GPT,6a1e,0x800,0x100000)/File(\\EFI\\old.efi)\n");
  const auto result = made(disk.path());
  EXPECT_THAT(result.removed, ElementsAre("Boot0001 Erste Größe", "Boot000A second"));
  EXPECT_THAT(
      firmware.calls(),
      ElementsAre(Call{"-v"}, Call{"-q", "-b", "0001", "-B"}, Call{"-q", "-b", "000A", "-B"},
                  Call{"-u", "-q", "-c", "-d", disk.path(), "-p", "2", "-L", "second", "-l",
                       "\\EFI\\x\\b.efi", "--", "quiet splash "},
                  Call{"-q", "-c", "-d", disk.path(), "-p", "2", "-L", "Erste Größe", "-l",
                       "\\EFI\\x\\a.efi"}));
}

TEST_F(BootEntriesTest, SectorsOf4096Bytes) {
  BootDisk disk("label: gpt\nstart=256, size=2048, type=L\nstart=2304, size=8192, type=U\n", 4096);
  disk.format(2304, 8192);
  put_debian(disk);
  EXPECT_THAT(made(disk.path()).created,
              ElementsAre(BootEntry{"debian", "\\EFI\\debian\\shimx64.efi", "", 2}));
}

TEST_F(BootEntriesTest, Mbr) {
  BootDisk disk(
      "label: dos\nlabel-id: 0x12345678\nstart=2048, size=2048, type=83\n"
      "start=4096, size=32768, type=ef\n");
  disk.format(4096, 32768);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  const auto result = made(disk.path());
  EXPECT_EQ(result.outcome, BootOutcome::from_loaders);
  EXPECT_THAT(result.created, ElementsAre(BootEntry{"ingot1", "\\EFI\\BOOT\\BOOTX64.EFI", "", 2}));
  EXPECT_EQ(made(disk.path(), "12345678-02").created.size(), 1U);
}

TEST_F(BootEntriesTest, MbrWithoutSignature) {
  BootDisk disk("label: dos\nlabel-id: 0x0\nstart=2048, size=32768, type=ef\n");
  disk.format(2048, 32768);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  run("dd if=/dev/zero of=" + disk.path() +
      " bs=1 seek=440 count=4 conv=notrunc,fsync status=none");
  refused(disk.path(), Errc::device_unsuitable, "no disk signature");
  EXPECT_THAT(firmware.calls(), IsEmpty());
}

TEST_F(BootEntriesTest, LogicalPartitionDoesNotCount) {
  BootDisk disk(
      "label: dos\nlabel-id: 0x12345678\nstart=2048, size=65536, type=5\n"
      "start=4096, size=32768, type=ef\n");
  disk.format(4096, 32768);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  refused(disk.path(), Errc::device_unsuitable, "no EFI system partition (partition table: dos)");
}

TEST_F(BootEntriesTest, NoSystemPartition) {
  BootDisk disk("label: gpt\nstart=2048, size=32768, type=L\n");
  refused(disk.path(), Errc::device_unsuitable, disk.path() + ": no EFI system partition");
  LoopDevice empty(16 * MiB);
  refused(empty.path(), Errc::device_unsuitable, "(partition table: none)");
}

TEST_F(BootEntriesTest, FirstPartitionWithLoaders) {
  const std::string second = "0A0B0C0D-1111-2222-3333-444455556666";
  BootDisk disk(
      "label: gpt\nstart=2048, size=16384, type=U\nstart=18432, size=16384, type=U\n"
      "start=34816, size=16384, type=U\nstart=51200, size=16384, type=L, uuid=" +
      second + "\n");
  disk.format(18432, 16384);  // nothing in it
  disk.format(34816, 16384);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  disk.format(51200, 16384);
  disk.put("efi/boot/bootx64.efi");
  // The first has no file system at all.
  EXPECT_EQ(made(disk.path()).created.at(0).partition, 3U);
  EXPECT_EQ(made(disk.path(), "0a0b0c0d-1111-2222-3333-444455556666").created.at(0).partition, 4U);
  refused(disk.path(), Errc::device_unsuitable, "no partition has the UUID",
          "00000000-1111-2222-3333-444455556666");
}

TEST_F(BootEntriesTest, NothingToStart) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  EXPECT_EQ(made(disk.path()).outcome, BootOutcome::no_loader);
  disk.put("EFI/debian/grub.cfg");
  disk.put("bootx64.efi");  // not below \EFI
  EXPECT_EQ(made(disk.path()).outcome, BootOutcome::no_loader);
  EXPECT_THAT(firmware.calls(), IsEmpty());
}

TEST_F(BootEntriesTest, NoFileSystem) {
  BootDisk disk(kGpt);
  run("dd if=/dev/urandom of=" + disk.path() +
      " bs=1M seek=1 count=16 conv=notrunc,fsync status=none");
  refused(disk.path(), Errc::device_unsuitable, "partition 1: its files cannot be read");
}

TEST_F(BootEntriesTest, DirectoryThatContainsItself) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  disk.put("EFI/LOOP/FILE");
  // The entry of \EFI\LOOP\FILE becomes a directory whose first cluster is that of \EFI\LOOP.
  const auto entry = [&disk](const std::string& name) {
    const std::string bytes = disk.bytes();
    const auto at = bytes.find(name, MiB);
    EXPECT_NE(at, std::string::npos) << name;
    return bytes.substr(at, 32);
  };
  const std::string loop = entry("LOOP       "), file = entry("FILE       ");
  std::string changed = loop;
  changed.replace(0, 11, "FILE       ");
  disk.replace(file, changed);
  const auto start = std::chrono::steady_clock::now();
  refused(disk.path(), Errc::device_unsuitable, "its files cannot be read");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(25));
  EXPECT_THAT(firmware.calls(), IsEmpty());
}

TEST_F(BootEntriesTest, CsvFileThatIsTooLarge) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  std::u16string text = u"shimx64.efi,debian,,\n";
  disk.put("EFI/debian/shimx64.efi");
  disk.put("EFI/debian/BOOTX64.CSV",
           utf16(text + std::u16string(32 * 1024 - 1 - text.size(), u' ')));
  EXPECT_EQ(made(disk.path()).outcome, BootOutcome::from_csv);  // just as much as is allowed
  disk.put("EFI/debian/BOOTX64.CSV", utf16(text + std::u16string(32 * 1024 - text.size(), u' ')));
  EXPECT_EQ(made(disk.path()).outcome, BootOutcome::no_loader);
}

TEST_F(BootEntriesTest, NamesAndDirectoriesOfEveryKind) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  disk.put("efi/Größe und mehr/tief/unten/BootX64.efi");
  // A name that mtools takes for a pattern, and does not make.
  disk.put("efi/(pattern)/boot.csv", utf16(u"a.efi,pattern\n"));
  disk.put("efi/(pattern)/a.efi");
  disk.replace(utf16(u"(patt", false), utf16(u"[patt", false));
  const auto result = made(disk.path());
  EXPECT_THAT(result.created,
              ElementsAre(BootEntry{"Größe und mehr",
                                    "\\efi\\Größe und mehr\\tief\\unten\\BootX64.efi", "", 1}));
}

TEST_F(BootEntriesTest, FirmwareOf32BitsStartsItsOwn) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  disk.put("EFI/BOOT/BOOTIA32.EFI");
  EXPECT_EQ(made(disk.path()).created.at(0).loader, "\\EFI\\BOOT\\BOOTX64.EFI");
  firmware.platform_size(32);
  EXPECT_EQ(made(disk.path()).created.at(0).loader, "\\EFI\\BOOT\\BOOTIA32.EFI");
}

TEST_F(BootEntriesTest, NotStartedByUefi) {
  const Firmware bios(false);
  const auto result = disk::make_boot_entries(
      "/dev/no-such-disk", {.sysfs = bios.sysfs(), .efibootmgr = "/no/such/program"}, {});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->outcome, BootOutcome::bios);
  EXPECT_THAT(result->created, IsEmpty());
}

TEST_F(BootEntriesTest, ProgramIsMissing) {
  const auto result = disk::make_boot_entries(
      "/dev/null", {.sysfs = firmware.sysfs(), .efibootmgr = "/no/such/efibootmgr"}, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::write_boot_entry);
  EXPECT_THAT(result.error().advice(), HasSubstr("install Debian's package efibootmgr"));
}

TEST_F(BootEntriesTest, ProgramFails) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  put_debian(disk);
  firmware.fail_with("-c");
  refused(disk.path(), Errc::write_boot_entry,
          "making the boot entry 'debian' for \\EFI\\debian\\shimx64.efi on " + disk.path() +
              ": efibootmgr failed (exit status 5; Could not prepare Boot variable: No space left "
              "on device)");
  firmware.fail_with("-v");
  refused(disk.path(), Errc::write_boot_entry, "listing the firmware's boot entries");
}

TEST_F(BootEntriesTest, WhatIsNoWholeDisk) {
  refused("/dev/no-such-disk", Errc::device_missing, "/dev/no-such-disk");
  refused("/dev/null", Errc::device_unsuitable, "neither a disk nor a regular file");
  LoopDevice disk(16 * MiB);
  refused(disk.backing(), Errc::device_unsuitable, "is a file");
}

TEST_F(BootEntriesTest, Cancelled) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  put_debian(disk);
  std::stop_source stop;
  stop.request_stop();
  const auto result = make(disk.path(), "", stop.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::cancelled);
  EXPECT_THAT(firmware.calls(), IsEmpty());
}

TEST(FatTree, NobodyReadsAndCannotWrite) {
  BootDisk disk(kGpt);
  disk.format(2048, 32768);
  disk.put("EFI/a/b", "content");
  const UniqueFd fd(::open(disk.path().c_str(), O_RDONLY | O_CLOEXEC));
  const auto tree = disk::FatTree::open(fd.get(), disk.offset(), "disk");
  ASSERT_TRUE(tree) << tree.error().message();
  const auto files = tree->files("EFI", {});
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_THAT(*files, ElementsAre("EFI/a/b"));
  const auto content = tree->read("EFI/a/b", 7, {});
  ASSERT_TRUE(content) << content.error().message();
  EXPECT_EQ(*content, "content");
  EXPECT_FALSE(tree->read("EFI/a/b", 6, {}));
  EXPECT_FALSE(tree->read("EFI/a/c", 6, {}));
}

TEST(Efibootmgr, Listing) {
  const std::vector<FirmwareEntry> expected = {
      {"0000", "UiApp", "FvVol(7cb8)/FvFile(462c)"},
      {"00fF", "debian", "HD(1,GPT,c2)/File(\\EFI\\debian\\shimx64.efi)"},
      {"0003", "", "BBS(HD,,0x0)"},
      {"0004", "no path", ""},
      {"0005", "\x80\xff odd", "HD(1,GPT,c2)/\\EFI\\x.efi"}};
  const std::string text =
      "BootNext: 0001\nBootCurrent: 0000\nTimeout: 3 seconds\nBootOrder: 0000,00FF\n"
      "Boot0000* UiApp\tFvVol(7cb8)/FvFile(462c)\n      dp: 04 07 14 00\n    data: 00\n"
      "Boot00fF* debian\tHD(1,GPT,c2)/File(\\EFI\\debian\\shimx64.efi)\n"
      "Boot0003  \tBBS(HD,,0x0)\nBoot0004* no path\nBoot0005* \x80\xff "
      "odd\tHD(1,GPT,c2)/\\EFI\\x.efi\n"
      "Boot00G5* no number\tHD(\nBoot0006+ no mark\tHD(\nBoot12\nBoot0007*\nMirrorStatus: x\n";
  EXPECT_EQ(disk::parse_efibootmgr(text), expected);
  EXPECT_TRUE(expected[1].on_partition());
  EXPECT_FALSE(expected[2].on_partition());
  std::string wide = "\xFF\xFE";
  for (const char c : std::string("BootOrder: 0001\nBoot0001* debian\tHD(1)/File(x)\n"))
    wide.append({c, '\0'});
  EXPECT_THAT(disk::parse_efibootmgr(wide),
              ElementsAre(FirmwareEntry{"0001", "debian", "HD(1)/File(x)"}));
  EXPECT_THAT(disk::parse_efibootmgr(""), IsEmpty());
}

}  // namespace
}  // namespace ingot::test
