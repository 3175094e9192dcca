// Boot loader entries of both types: what is read of them, in which order, and which is taken.
#include <gtest/gtest.h>

#include "disk/menu/boot_menu.hpp"
#include "disk/menu/loader_entries.hpp"
#include "tests/support/boot_tree.hpp"

namespace ingot::disk {
namespace {

constexpr BootFirmware kUefi{true, "x64"};
constexpr BootFirmware kBios{false, "x64"};

std::vector<std::string> sorted(std::vector<std::pair<std::string, std::string>> files) {
  std::vector<LoaderEntry> entries;
  entries.reserve(files.size());
  for (const auto& [name, text] : files) entries.push_back(parse_loader_entry(name, text));
  sort_entries(entries);
  std::vector<std::string> ids;
  ids.reserve(entries.size());
  for (const LoaderEntry& entry : entries) ids.push_back(entry.id);
  return ids;
}
using Ids = std::vector<std::string>;

TEST(LoaderEntries, EveryKey) {
  const LoaderEntry entry = parse_loader_entry(
      "os-6.1+3-1.conf",
      "# a comment\n\ntitle   An OS  \nversion\t6.1\r\nmachine-id 00\nsort-key os\n"
      "linux /os/linux\ninitrd /ucode\ninitrd /os/initrd\noptions root=LABEL=x  quiet\noptions ro\n"
      "architecture X64\nno-such-key y\noptions\n");
  EXPECT_EQ(entry.id, "os-6.1");
  EXPECT_EQ(entry.tries_left, 3U);
  EXPECT_EQ(entry.tries_done, 1U);
  EXPECT_EQ(entry.title, "An OS");
  EXPECT_EQ(entry.version, "6.1");
  EXPECT_EQ(entry.machine_id, "00");
  EXPECT_EQ(entry.sort_key, "os");
  EXPECT_EQ(entry.linux_path, "/os/linux");
  EXPECT_EQ(entry.initrds, (Ids{"/ucode", "/os/initrd"}));
  EXPECT_EQ(entry.options, "root=LABEL=x  quiet ro");
  EXPECT_EQ(entry.architecture, "X64");
}

TEST(LoaderEntries, WhatOnlyLooksLikeCounters) {
  for (const char* name :
       {"a+b.conf", "a+1-.conf", "a+-1.conf", "a+.conf", "a+1-2-3.conf", "a+99999999999.conf"}) {
    const LoaderEntry entry = parse_loader_entry(name, "");
    EXPECT_EQ(entry.id + ".conf", name);
    EXPECT_FALSE(entry.tries_left.has_value());
  }
  EXPECT_EQ(parse_loader_entry("a+0.conf", "").bad(), true);
  EXPECT_EQ(parse_loader_entry("a+b+2.conf", "").id, "a+b");
}

TEST(LoaderEntries, Order) {
  // By name, newest first, where there are no sort keys.
  EXPECT_EQ(sorted({{"a-6.9.conf", ""}, {"a-6.10.conf", ""}, {"a-6.10~rc1.conf", ""}}),
            (Ids{"a-6.10", "a-6.10~rc1", "a-6.9"}));
  // With one first; then key and machine upwards, version downwards, name downwards.
  EXPECT_EQ(sorted({{"z.conf", ""},
                    {"a.conf", "sort-key b\nversion 1"},
                    {"b.conf", "sort-key a\nmachine-id 2\nversion 1"},
                    {"c.conf", "sort-key a\nmachine-id 1\nversion 1"},
                    {"d.conf", "sort-key a\nmachine-id 1\nversion 2"},
                    {"e.conf", "sort-key a\nmachine-id 1\nversion 2"}}),
            (Ids{"e", "d", "c", "b", "a", "z"}));
  // What was given up comes last, whatever else it has.
  EXPECT_EQ(sorted({{"new+0-3.conf", "sort-key a\nversion 9"},
                    {"old.conf", ""},
                    {"mid+2-1.conf", "sort-key a\nversion 8"}}),
            (Ids{"mid", "old", "new"}));
}

class Choice : public testing::Test {
 protected:
  Choice() : esp(tree.add(VolumeRole::system)), root(tree.add()) {}
  void entry(const std::string& name, const std::string& more = "") {
    tree.put(esp, "/loader/entries/" + name + ".conf",
             "title T " + name + "\nlinux /" + name + "/linux\ninitrd /" + name +
                 "/initrd\noptions root=x\n" + more);
  }
  std::string chosen(const BootFirmware& firmware = kUefi) {
    const auto choice = choose_boot(tree.volumes(), firmware);
    if (!choice) return choice.error().message();
    return choice->title;
  }

  test::BootTree tree;
  const std::size_t esp, root;
};

TEST_F(Choice, TheFirstInOrder) {
  entry("os-1");
  entry("os-2");
  const auto choice = choose_boot(tree.volumes(), kUefi);
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->title, "T os-2");
  EXPECT_EQ(choice->source, "/loader/entries/os-2.conf");
  EXPECT_EQ(choice->kernel, (BootFile{esp, "/os-2/linux"}));
  EXPECT_EQ(choice->initrds, (std::vector<BootFile>{{esp, "/os-2/initrd"}}));
  EXPECT_EQ(choice->command_line, "root=x");
  EXPECT_EQ(chosen(kBios), "T os-2");
}

TEST_F(Choice, TheDefaultOfLoaderConf) {
  for (const char* name : {"os-1", "os-2", "other-3+1"}) entry(name);
  for (const auto& [conf, wanted] :
       {std::pair{"default os-1.conf", "T os-1"}, std::pair{"timeout 3\ndefault os-*\n", "T os-2"},
        std::pair{"default OS-1", "T os-1"}, std::pair{"default other-3.conf", "T other-3+1"},
        std::pair{"default @saved", "T other-3+1"}, std::pair{"default none", "T other-3+1"},
        std::pair{"#default os-1.conf", "T other-3+1"}}) {
    tree.put(esp, "/loader/loader.conf", conf);
    tree.put(esp, "/loader/entries/other-3+1.conf", "title T other-3+1\nlinux /l\nsort-key a");
    EXPECT_EQ(chosen(), wanted) << conf;
  }
}

TEST_F(Choice, OfBothPartitions) {
  const std::size_t boot = tree.add(VolumeRole::extended);
  entry("os-1");
  tree.put(boot, "/loader/entries/os-2.conf", "title T os-2\nlinux /linux\n");
  tree.put(root, "/loader/entries/os-3.conf", "title T os-3\nlinux /linux\n");
  const auto choice = choose_boot(tree.volumes(), kUefi);
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->kernel, (BootFile{boot, "/linux"}));
}

TEST_F(Choice, EntriesForOtherMachinesDoNotCount) {
  entry("os-1");
  entry("os-2", "architecture aa64\n");
  tree.put(esp, "/loader/entries/os-4.conf", "title T os-4\n");
  tree.put(esp, "/loader/entries/os-3.conf", "title T os-3\nefi /shell.efi\n");
  EXPECT_EQ(chosen(kBios), "T os-1");
  EXPECT_NE(chosen(kUefi).find("os-3.conf"), std::string::npos) << chosen(kUefi);
}

TEST_F(Choice, WhatOnlyGrubOrFirmwareCanStart) {
  entry("os-1", "options $kernelopts\n");
  EXPECT_NE(chosen().find("variables"), std::string::npos);
  entry("os-1", "devicetree /x.dtb\n");
  EXPECT_NE(chosen().find("device tree"), std::string::npos);
  entry("os-1", "initrd /i $tuned_initrd\n");
  EXPECT_NE(chosen().find("variables"), std::string::npos);
}

TEST_F(Choice, UnifiedKernelImages) {
  const std::string image =
      test::pe_file({{".text", "stub"},
                     {".osrel", "ID=os\nPRETTY_NAME=\"An OS\"\nVERSION_ID=7\n"},
                     {".cmdline", "root=LABEL=x quiet\n"},
                     {".initrd", "INITRD"},
                     {".ucode", "MICROCODE"},
                     {".linux", "KERNEL"}});
  tree.put(esp, "/EFI/Linux/os.efi", image);
  const auto choice = choose_boot(tree.volumes(), kUefi);
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->title, "An OS");
  EXPECT_EQ(choice->command_line, "root=LABEL=x quiet");
  const auto text = [&image](const BootFile& file) {
    return image.substr(file.offset, file.size.value_or(0));
  };
  EXPECT_EQ(text(choice->kernel), "KERNEL");
  ASSERT_EQ(choice->initrds.size(), 2U);
  EXPECT_EQ(text(choice->initrds[0]), "MICROCODE");
  EXPECT_EQ(text(choice->initrds[1]), "INITRD");
  // Firmware of the BIOS kind starts none.
  EXPECT_NE(chosen(kBios).find("neither"), std::string::npos);
  // An entry of the other kind that sorts above it.
  entry("os-9", "sort-key os\nversion 8\n");
  EXPECT_EQ(chosen(), "T os-9");
  tree.put(esp, "/loader/loader.conf", "default os.efi\n");
  EXPECT_EQ(chosen(), "An OS");
  // The stub would add to the command line.
  tree.put(esp, "/EFI/Linux/os.efi.extra.d/debug.addon.efi");
  EXPECT_NE(chosen().find("extra.d"), std::string::npos) << chosen();
}

TEST_F(Choice, AUnifiedKernelImageAsTheOnlyLoader) {
  tree.put(esp, "/EFI/BOOT/BOOTx64.EFI", test::pe_file({{".linux", "K"}, {".cmdline", "a"}}));
  EXPECT_EQ(choose_boot(tree.volumes(), kUefi).value().command_line, "a");
}

TEST_F(Choice, SystemdBootComesBeforeGrubOnUefiAlone) {
  entry("os-1");
  tree.put(root, "/boot/grub/grub.cfg", "menuentry G {\nlinux /k\n}\n");
  EXPECT_EQ(chosen(), "G");
  tree.put(esp, "/EFI/systemd/systemd-bootx64.efi");
  EXPECT_EQ(chosen(kUefi), "T os-1");
  EXPECT_EQ(chosen(kBios), "G");
}

TEST_F(Choice, NothingAtAll) {
  EXPECT_NE(chosen().find("neither a grub.cfg nor a boot loader entry"), std::string::npos);
}

TEST_F(Choice, TooMany) {
  for (std::size_t i = 0; i <= kMostMenuFiles; ++i)
    tree.put(esp, "/loader/entries/" + std::to_string(i) + ".conf", "linux /l");
  EXPECT_NE(chosen().find("more than 1024 entries"), std::string::npos) << chosen();
}

TEST_F(Choice, AnEntryWithoutEnd) {
  tree.put(esp, "/loader/entries/a.conf", std::string(kMostMenuBytes + 1, 'x'));
  EXPECT_NE(chosen().find("more than 1048576"), std::string::npos) << chosen();
}

// Images that lie about where their parts are.
TEST_F(Choice, DamagedUnifiedKernelImages) {
  const std::string whole = test::pe_file({{".linux", "KERNEL"}, {".cmdline", "x"}});
  const std::string at = "/EFI/BOOT/BOOTx64.EFI";
  const auto put_number = [&](std::size_t place, std::uint32_t value) {
    std::string image = whole;
    for (int i = 0; i < 4; ++i) image[place + i] = static_cast<char>(value >> (8 * i));
    tree.put(esp, at, image);
    return open_unified(tree.volumes(), esp, at);
  };
  tree.put(esp, at, whole);
  EXPECT_TRUE(open_unified(tree.volumes(), esp, at));
  constexpr std::size_t kTable = 128 + 24;
  EXPECT_FALSE(put_number(60, 0xffffffff));           // the header
  EXPECT_FALSE(put_number(128 + 6, 97));              // the number of sections
  EXPECT_FALSE(put_number(128 + 20, 0xffff));         // the table
  EXPECT_FALSE(put_number(kTable + 20, 0xfffffff0));  // where a section is
  EXPECT_FALSE(put_number(kTable + 20, 0xffffffff));
  tree.put(esp, at, whole.substr(0, kTable + 8));
  EXPECT_FALSE(open_unified(tree.volumes(), esp, at));
  tree.put(esp, at, "MZ");
  EXPECT_FALSE(open_unified(tree.volumes(), esp, at));
  tree.put(esp, at, test::pe_file({{".linux", "a"}, {".linux", "b"}}));
  EXPECT_FALSE(open_unified(tree.volumes(), esp, at));
  tree.put(esp, at, test::pe_file({{".linux", "a"}, {".profile", "ID=x"}}));
  EXPECT_FALSE(open_unified(tree.volumes(), esp, at));
}

}  // namespace
}  // namespace ingot::disk
