// Which boot entries the files of an EFI system partition ask for: names, CSV files, order, labels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "disk/boot/entry_text.hpp"
#include "disk/boot/loaders.hpp"
#include "tests/support/boot_disk.hpp"

namespace ingot::test {
namespace {

using disk::BootEntry;
using disk::BootOutcome;
using testing::ElementsAre;
using testing::IsEmpty;

using Files = std::map<std::string, std::string>;

disk::Loaders find(const Files& files, const std::string& architecture = "x64") {
  std::vector<std::string> paths;
  for (const auto& [path, content] : files) paths.push_back(path);
  auto found = disk::find_loaders(paths, architecture,
                                  [&files](const std::string& path) -> Result<std::string> {
                                    const std::string& content = files.at(path);
                                    if (content == "unreadable")
                                      return fail(Errc::device_unsuitable, "cannot be read");
                                    if (content == "cancelled")
                                      return fail(Errc::cancelled, "cancelled");
                                    return content;
                                  });
  EXPECT_TRUE(found) << found.error().message();
  return found ? *found : disk::Loaders{};
}

std::vector<BootEntry> csv(const std::string& content, const std::vector<std::string>& files) {
  return disk::parse_boot_csv(content, "EFI/debian", files);
}

const std::vector<std::string> kShim = {"EFI/debian/shimx64.efi", "EFI/debian/grubx64.efi"};

TEST(BootCsv, LineOfDebian) {
  const std::u16string line =
      u"shimx64.efi,debian,,This is the boot entry for debian, with a comma\n";
  const BootEntry debian{"debian", "\\EFI\\debian\\shimx64.efi", "", 0};
  EXPECT_THAT(csv(utf16(line), kShim), ElementsAre(debian));
  EXPECT_THAT(csv(utf16(line, false), kShim), ElementsAre(debian));
  EXPECT_THAT(csv(utf16(line).append("\0\0", 2), kShim), ElementsAre(debian));
  std::string big = utf16(line);
  for (std::size_t i = 0; i + 1 < big.size(); i += 2) std::swap(big[i], big[i + 1]);
  EXPECT_THAT(csv(big, kShim), ElementsAre(debian));
}

TEST(BootCsv, EveryLineIsAnEntryInOrder) {
  EXPECT_THAT(csv(utf16(u"grubx64.efi , Second choice ,,\r\nSHIMX64.EFI,debian\r\n"), kShim),
              ElementsAre(BootEntry{"Second choice", "\\EFI\\debian\\grubx64.efi", "", 0},
                          BootEntry{"debian", "\\EFI\\debian\\shimx64.efi", "", 0}));
}

TEST(BootCsv, OptionsAreKeptWithTheirBlanks) {
  EXPECT_THAT(
      csv(utf16(u"shimx64.efi,uki,\\EFI\\Linux\\a.efi ,UKI\n"), kShim),
      ElementsAre(BootEntry{"uki", "\\EFI\\debian\\shimx64.efi", "\\EFI\\Linux\\a.efi ", 0}));
  EXPECT_THAT(csv(utf16(u"shimx64.efi,blank,  ,\n"), kShim),
              ElementsAre(BootEntry{"blank", "\\EFI\\debian\\shimx64.efi", "", 0}));
}

TEST(BootCsv, LinesThatDoNotCount) {
  EXPECT_THAT(csv(utf16(u"missing.efi,a\n,b\nshimx64.efi,\nshimx64.efi\n\n,,,\n"), kShim),
              IsEmpty());
  // Outside of its directory, though such a file is there.
  EXPECT_THAT(csv(utf16(u"..\\BOOT\\BOOTX64.EFI,a\n"), {"EFI/BOOT/BOOTX64.EFI"}), IsEmpty());
  // Texts that would not stay one line of a menu, or a message.
  EXPECT_THAT(csv(utf16(u"shimx64.efi,a\x1b[2J\nshimx64.efi,b\tc\nshimx64.efi,d\u202Ee\n"
                        u"shimx64.efi,\xD83D\xDE00\nshimx64.efi,f,g\x07\n"),
                  kShim),
              IsEmpty());
  EXPECT_THAT(csv(utf16(u"shimx64.efi,a," + std::u16string(513, u'x') + u"\n"), kShim), IsEmpty());
  EXPECT_THAT(csv("shimx64.efi,ascii,,\n", kShim), IsEmpty());
  EXPECT_THAT(csv("", kShim), IsEmpty());
  EXPECT_THAT(csv("\xFF", kShim), IsEmpty());
}

TEST(BootCsv, Bounds) {
  std::u16string lines;
  for (int i = 0; i < 40; ++i)
    lines += u"shimx64.efi,entry" + std::u16string(1, static_cast<char16_t>(u'A' + i)) + u"\n";
  EXPECT_EQ(csv(utf16(lines), kShim).size(), disk::kMostBootEntries);
  std::u16string same;
  for (int i = 0; i < 20; ++i) same += u"shimx64.efi,debian\n";
  EXPECT_EQ(csv(utf16(same), kShim).size(), 1U);
  const auto longest = csv(utf16(u"shimx64.efi," + std::u16string(100, u'ü')), kShim);
  ASSERT_EQ(longest.size(), 1U);
  EXPECT_EQ(longest[0].label.size(), 2 * disk::kLongestLabel);
}

TEST(BootLoaders, CsvFileWinsAlone) {
  const auto found = find({{"EFI/BOOT/BOOTX64.EFI", ""},
                           {"EFI/debian/shimx64.efi", ""},
                           {"EFI/debian/BOOTX64.CSV", utf16(u"shimx64.efi,debian,,\n")}});
  EXPECT_EQ(found.outcome, BootOutcome::from_csv);
  EXPECT_EQ(found.csv, "\\EFI\\debian\\BOOTX64.CSV");
  EXPECT_THAT(found.entries, ElementsAre(BootEntry{"debian", "\\EFI\\debian\\shimx64.efi", "", 0}));
}

TEST(BootLoaders, CsvFileForThisMachineComesFirst) {
  const Files files = {{"EFI/a/bootaa64.csv", utf16(u"a.efi,arm\n")},
                       {"EFI/a/boot.csv", utf16(u"a.efi,any\n")},
                       {"EFI/a/bootx64.csv", utf16(u"a.efi,intel\n")},
                       {"EFI/a/a.efi", ""}};
  EXPECT_EQ(find(files, "x64").entries.at(0).label, "intel");
  EXPECT_EQ(find(files, "aa64").entries.at(0).label, "arm");
  EXPECT_EQ(find(files, "riscv64").entries.at(0).label, "any");
}

TEST(BootLoaders, CsvFileWithoutUseIsPassedOver) {
  const auto found = find({{"EFI/a/BOOTX64.CSV", "unreadable"},
                           {"EFI/b/BOOTX64.CSV", utf16(u"gone.efi,b\n")},
                           {"EFI/BOOT/BOOTX64.EFI", ""}});
  EXPECT_EQ(found.outcome, BootOutcome::from_loaders);
  EXPECT_THAT(found.entries, ElementsAre(BootEntry{"ingot1", "\\EFI\\BOOT\\BOOTX64.EFI", "", 0}));
}

TEST(BootLoaders, CancelledWhileReading) {
  const auto found = disk::find_loaders(
      {"EFI/a/BOOTX64.CSV", "EFI/BOOT/BOOTX64.EFI"}, "x64",
      [](const std::string&) -> Result<std::string> { return fail(Errc::cancelled, "stop"); });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::cancelled);
}

TEST(BootLoaders, OneEntryForEachKnownName) {
  const Files files = {{"EFI/BOOT/BOOTIA32.EFI", ""}, {"EFI/boot/bootx64.efi", ""},
                       {"EFI/BOOT/BOOTAA64.EFI", ""}, {"EFI/BOOT/mmx64.efi", ""},
                       {"EFI/Suse/grubaa64.efi", ""}, {"EFI/BOOT/bootx64.efi.old", ""}};
  const auto found = find(files);
  EXPECT_EQ(found.outcome, BootOutcome::from_loaders);
  EXPECT_THAT(found.entries, ElementsAre(BootEntry{"ingot1", "\\EFI\\boot\\bootx64.efi", "", 0},
                                         BootEntry{"ingot2", "\\EFI\\BOOT\\BOOTIA32.EFI", "", 0},
                                         BootEntry{"ingot3", "\\EFI\\BOOT\\BOOTAA64.EFI", "", 0},
                                         BootEntry{"Suse", "\\EFI\\Suse\\grubaa64.efi", "", 0}));
  EXPECT_EQ(find(files, "ia32").entries.at(0).loader, "\\EFI\\BOOT\\BOOTIA32.EFI");
  EXPECT_EQ(find(files, "aa64").entries.at(1).loader, "\\EFI\\Suse\\grubaa64.efi");
}

TEST(BootLoaders, VendorsLabelIsTakenOnce) {
  const auto found = find(
      {{"EFI/acme/bootx64.efi", ""}, {"EFI/acme/old/bootx64.efi", ""}, {"EFI/bootx64.efi", ""}});
  EXPECT_THAT(found.entries,
              ElementsAre(BootEntry{"ingot1", "\\EFI\\bootx64.efi", "", 0},
                          BootEntry{"acme", "\\EFI\\acme\\bootx64.efi", "", 0},
                          BootEntry{"ingot3", "\\EFI\\acme\\old\\bootx64.efi", "", 0}));
}

TEST(BootLoaders, NothingToStart) {
  const auto found = find({{"EFI/debian/grub.cfg", ""}});
  EXPECT_EQ(found.outcome, BootOutcome::no_loader);
  EXPECT_THAT(found.entries, IsEmpty());
}

TEST(BootLoaders, AtMostSixteen) {
  Files files;
  for (int i = 0; i < 30; ++i) files["EFI/v" + std::to_string(i) + "/bootx64.efi"] = "";
  EXPECT_EQ(find(files).entries.size(), disk::kMostBootEntries);
}

TEST(EntryText, WhatFits) {
  for (const std::string text :
       {"", "Debian GNU/Linux", "\\EFI\\Größe\\x.efi", "\xE4\xB8\xAD\xE6\x96\x87", "\xEF\xBF\xAF"})
    EXPECT_TRUE(disk::fits_entry(text)) << text;
  for (const std::string text :
       {"\x1b", "a\nb", "\x7f", "\xC2\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
        "\xE2\x80\xAE", "\xEF\xBB\xBF", "\xEF\xBF\xBD", "\xF0\x9F\x98\x80", "\xFF"})
    EXPECT_FALSE(disk::fits_entry(text)) << testing::PrintToString(text);
  EXPECT_FALSE(disk::fits_entry(std::string("a\0b", 3)));
}

TEST(EntryText, WhatAProgramSaid) {
  EXPECT_EQ(disk::shown("  No\tsuch\n file \x1b[2J\n"), "No such file \\x1b[2J");
  EXPECT_EQ(disk::shown("\n"), "it said nothing");
  EXPECT_LT(disk::shown(std::string(5000, 'x')).size(), 300U);
}

}  // namespace
}  // namespace ingot::test
