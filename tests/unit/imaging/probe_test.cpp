// probe_image() over images of the real tools, and over everything else a server may send.
#include "imaging/probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "disk/core/printable.hpp"
#include "tests/support/command.hpp"
#include "tests/support/memory_stream.hpp"

namespace ingot::test {
namespace {

using imaging::ImageFormat;
using imaging::ProbeResult;
using ::testing::HasSubstr;

/// The probe's own view of a file: its first MiB.
Bytes head_of(const std::string& path) {
  Bytes bytes = read_file(path);
  bytes.resize(std::min<std::size_t>(bytes.size(), 1024 * 1024));
  return bytes;
}

/// Makes "img" in a directory of its own by a shell command; returns its head.
Bytes made_by(const std::string& command) {
  const TempDir dir;
  run("cd " + dir.path("") + " && export PATH=$PATH:/usr/sbin && (" + command + ")");
  return head_of(dir.path("img"));
}

struct Accepted {
  const char* name;
  const char* command;
  ImageFormat format;
  const char* table;
  const char* filesystem;
  std::uint32_t sector;
};
void PrintTo(const Accepted& one, std::ostream* out) {
  *out << one.name;
}

class Recognises : public ::testing::TestWithParam<Accepted> {};

constexpr auto kRaw = ImageFormat::raw;
INSTANTIATE_TEST_SUITE_P(
    Probe, Recognises,
    ::testing::Values(
        Accepted{"qcow2", "qemu-img create -f qcow2 img 64M", ImageFormat::qcow2, "", "", 0},
        Accepted{"qcow2_v2", "qemu-img create -f qcow2 -o compat=0.10 img 64M", ImageFormat::qcow2,
                 "", "", 0},
        Accepted{"vmdk_sparse", "qemu-img create -f vmdk img 64M", ImageFormat::vmdk, "", "", 0},
        Accepted{"vmdk_stream", "qemu-img create -f vmdk -o subformat=streamOptimized img 64M",
                 ImageFormat::vmdk, "", "", 0},
        Accepted{"vmdk_3", "(printf COWD; head -c 4096 /dev/zero) > img", ImageFormat::vmdk, "", "",
                 0},
        Accepted{"vhd_dynamic", "qemu-img create -f vpc img 64M", ImageFormat::vhd, "", "", 0},
        Accepted{"vhdx", "qemu-img create -f vhdx img 64M", ImageFormat::vhdx, "", "", 0},
        Accepted{"vdi", "qemu-img create -f vdi img 64M", ImageFormat::vdi, "", "", 0},
        Accepted{"gpt_hybrid", "truncate -s 64M img && sgdisk -n 1:0:+8M -h 1 img", kRaw, "gpt", "",
                 512},
        Accepted{"gpt_sfdisk", "truncate -s 64M img && printf 'label: gpt\\n,' | sfdisk -q img",
                 kRaw, "gpt", "", 512},
        Accepted{"gpt_4096",
                 "truncate -s 64M img && l=$(losetup --find --show -b 4096 img) && "
                 "printf 'label: gpt\\n,' | sfdisk -q --no-reread $l; s=$?; losetup -d $l; exit $s",
                 kRaw, "gpt", "", 4096},
        Accepted{"mbr", "truncate -s 64M img && printf 'label: dos\\n,,83,*' | sfdisk -q img", kRaw,
                 "dos", "", 0},
        Accepted{
            "mbr_over_an_old_gpt",
            "truncate -s 64M img && printf 'label: gpt\\n,' | sfdisk -q img && dd if=img of=gpt "
            "bs=512 skip=1 "
            "count=33 status=none && printf 'label: dos\\n,' | sfdisk -q -w never img && dd if=gpt "
            "of=img bs=512 seek=1 conv=notrunc status=none",
            kRaw, "dos", "", 0},
        Accepted{"ext2", "truncate -s 16M img && mkfs.ext2 -q img", kRaw, "", "ext2", 0},
        Accepted{"ext4", "truncate -s 16M img && mkfs.ext4 -q img", kRaw, "", "ext4", 0},
        Accepted{"xfs", "truncate -s 400M img && mkfs.xfs -q img", kRaw, "", "xfs", 0},
        Accepted{"btrfs", "truncate -s 200M img && mkfs.btrfs -q img", kRaw, "", "btrfs", 0},
        Accepted{"fat12", "truncate -s 1440K img && mkfs.vfat img", kRaw, "", "vfat", 0},
        Accepted{"fat32", "truncate -s 64M img && mkfs.vfat -F 32 img", kRaw, "", "vfat", 0},
        Accepted{"ntfs", "truncate -s 64M img && mkfs.ntfs -q -F img", kRaw, "", "ntfs", 0},
        Accepted{
            "ntfs_with_a_distant_mft",
            "truncate -s 64M img && mkfs.ntfs -q -F img && dd if=/dev/zero of=img bs=512 seek=1 "
            "count=2047 conv=notrunc status=none",
            kRaw, "", "ntfs", 0},
        Accepted{"iso9660", "mkdir d && echo x > d/x && xorriso -as mkisofs -quiet -o img d", kRaw,
                 "", "iso9660", 0},
        Accepted{"iso_with_mbr",
                 "mkdir d && echo x > d/x && head -c 65536 /dev/zero > esp && xorriso -as mkisofs "
                 "-quiet -append_partition 2 0xef esp -o img d",
                 kRaw, "dos", "iso9660", 0},
        Accepted{"squashfs", "mkdir d && echo x > d/x && mksquashfs d img -quiet -no-progress",
                 kRaw, "", "squashfs", 0}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_P(Recognises, RealImages) {
  const auto& want = GetParam();
  const Bytes head = made_by(want.command);
  const auto found = imaging::probe_image(head, std::nullopt, false);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(name(found->format), name(want.format));
  EXPECT_EQ(found->partition_table, want.table);
  EXPECT_EQ(found->filesystem, want.filesystem);
  EXPECT_EQ(found->gpt_sector_size, want.sector);
  // Declared as what it is: the same. Declared as anything else: refused, naming both.
  for (const auto declared : {ImageFormat::raw, ImageFormat::qcow2, ImageFormat::vmdk,
                              ImageFormat::vhd, ImageFormat::vhdx, ImageFormat::vdi}) {
    const auto judged = imaging::probe_image(head, declared, true);
    if (declared == want.format) {
      ASSERT_TRUE(judged) << judged.error().message();
      EXPECT_EQ(judged->format, want.format);
    } else if (declared == ImageFormat::vhd && want.format == kRaw) {
      // A fixed-size vhd is a raw disk with a footer, which is out of sight.
      ASSERT_TRUE(judged) << judged.error().message();
      EXPECT_EQ(judged->format, ImageFormat::vhd);
    } else {
      ASSERT_FALSE(judged) << "declared as " << name(declared);
      EXPECT_EQ(judged.error().code(), Errc::image_format_mismatch);
      EXPECT_THAT(judged.error().message(), HasSubstr(std::string(name(declared))));
      EXPECT_THAT(judged.error().message(),
                  HasSubstr(want.format == kRaw ? "a raw disk" : std::string(name(want.format))));
    }
  }
}

TEST(Probe, TakesAFixedVhdByDeclaration) {
  const Bytes head = made_by("qemu-img create -f vpc -o subformat=fixed img 8M");
  EXPECT_EQ(imaging::probe_image(head, ImageFormat::vhd, false)->format, ImageFormat::vhd);
  EXPECT_EQ(imaging::probe_image(head, std::nullopt, false).error().code(),
            Errc::image_unrecognized);
}

struct Refused {
  const char* name;
  Bytes head;
  std::optional<ImageFormat> declared;
  Errc code;
  const char* said;
  bool even_if_allowed;
};
void PrintTo(const Refused& one, std::ostream* out) {
  *out << one.name;
}

Bytes noise(std::size_t size) {
  std::mt19937 random(1);
  Bytes bytes(size);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random()); });
  bytes[0] = std::byte{0xa0};  // no magic begins like that
  return bytes;
}

Bytes padded(std::string_view start, std::size_t size = 4096) {
  Bytes bytes = bytes_of(start);
  bytes.resize(size);
  return bytes;
}

/// A boot sector with the signature and one partition entry, which `spoil` then breaks.
Bytes boot_sector(std::size_t spoil_at, int spoil) {
  Bytes bytes(4096);
  bytes[510] = std::byte{0x55};
  bytes[511] = std::byte{0xaa};
  bytes[446] = std::byte{0x80};
  bytes[446 + 4] = std::byte{0x83};
  bytes[446 + 9] = std::byte{8};
  bytes[446 + 13] = std::byte{8};
  bytes[spoil_at] = static_cast<std::byte>(spoil);
  return bytes;
}

class Refuses : public ::testing::TestWithParam<Refused> {};

std::vector<Refused> refused() {
  constexpr auto none = std::nullopt;
  constexpr auto unrecognized = Errc::image_unrecognized;
  constexpr auto unsupported = Errc::image_unsupported;
  constexpr auto mismatch = Errc::image_format_mismatch;
  using std::string_view_literals::operator""sv;
  return {
      {"empty", {}, none, unrecognized, "is empty", true},
      {"html", bytes_of("<!DOCTYPE html><html><body>404</body></html>"), none, unrecognized,
       "looks like an HTML page", true},
      {"html_declared_raw", padded("<HTML>\n"), kRaw, unrecognized, "an HTML page", true},
      {"html_declared_qcow2", padded("<HTML>\n"), ImageFormat::qcow2, unrecognized, "an HTML page",
       true},
      {"html_with_space_and_bom", padded("\xef\xbb\xbf \r\n\t<!doctype HTML>"), none, unrecognized,
       "an HTML page", true},
      {"html_utf16", padded("\xff\xfe<\0h\0t\0m\0l\0>\0"sv), none, unrecognized, "an HTML page",
       true},
      {"xhtml", padded("<?xml version=\"1.0\"?>\n<html xmlns=\"x\">"), none, unrecognized,
       "an HTML page", true},
      {"html_comment", padded("<!-- hello -->\n<html>"), none, unrecognized, "an HTML page", true},
      {"json", bytes_of("{\"error\": \"not found\"}"), none, unrecognized, "a JSON document",
       false},
      {"xml", bytes_of("<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>"), none,
       unrecognized, "an XML document", false},
      {"text", bytes_of(std::string(2000, 'a')), none, unrecognized, "the image is text", false},
      {"noise", noise(1024 * 1024), none, unrecognized, "neither a known image format", false},
      {"noise_declared_raw", noise(1024 * 1024), kRaw, unrecognized, "it starts with a0 ", false},
      {"zeros", Bytes(1024 * 1024), none, unrecognized, "it starts with 00 00 00", false},
      {"tiny", noise(511), none, unrecognized, "only 511 bytes", false},
      {"no_used_entry", boot_sector(446 + 4, 0), none, unrecognized, "neither", false},
      {"wrong_boot_flag", boot_sector(446, 0x12), none, unrecognized, "neither", false},
      {"empty_partition", boot_sector(446 + 13, 0), none, unrecognized, "neither", false},
      {"noise_declared_qcow2", noise(4096), ImageFormat::qcow2, mismatch, "declared as qcow2",
       true},
      {"noise_declared_vmdk", noise(4096), ImageFormat::vmdk, mismatch, "declared as vmdk", true},
      {"qcow1", padded("QFI\xfb\0\0\0\1"sv), none, unsupported, "qcow image of version 1", true},
      {"qcow1_declared_qcow2", padded("QFI\xfb\0\0\0\1"sv), ImageFormat::qcow2, unsupported,
       "version 1", true},
      {"qcow1_declared_raw", padded("QFI\xfb\0\0\0\1"sv), kRaw, mismatch, "version 1", true},
      {"qed", padded("QED\0"sv), none, unsupported, "a QED image", true},
      {"qed_declared_raw", padded("QED\0"sv), kRaw, mismatch, "a QED image", true},
      {"parallels", padded("WithoutFreeSpace"), none, unsupported, "Parallels", true},
      {"parallels_extended", padded("WithouFreSpacExt"), none, unsupported, "Parallels", true},
      {"vmdk_descriptor", bytes_of("# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/shadow\" 0"),
       none, unsupported, "names other files", true},
      {"vmdk_descriptor_declared", padded("# Disk DescriptorFile\n"), ImageFormat::vmdk,
       unsupported, "names other files", true},
      {"vmdk_descriptor_as_qemu_tells_it", padded("# a\n\n  \n#b\nversion=2\n"), kRaw, mismatch,
       "vmdk descriptor", true},
      {"gzip_inside", padded("\x1f\x8b\x08\0"sv), none, unsupported, "a gzip file", true},
      {"xz_inside_declared_raw",
       padded("\xfd"
              "7zXZ\0"sv),
       kRaw, unsupported, "a xz file", true},
      {"zstd_inside_declared_qcow2", padded("\x28\xb5\x2f\xfd"), ImageFormat::qcow2, mismatch,
       "a zstd file", true},
      {"bzip2_inside", padded("BZh9"), none, unsupported, "a bzip2 file", true},
      {"lz4_legacy", padded("\x02\x21\x4c\x18"), none, unsupported, "legacy format", true},
      {"zip", padded("PK\3\4"), none, unsupported, "a zip archive", true},
      {"zip_empty", padded("PK\5\6"), none, unsupported, "an empty zip archive", true},
      {"zip_part", padded("PK\7\10"), none, unsupported, "a part of a zip archive", true},
      {"seven_zip", padded("7z\xbc\xaf\x27\x1c"), none, unsupported, "a 7z archive", true},
      {"elf",
       padded("\x7f"
              "ELF"),
       none, unsupported, "an ELF program", true},
      {"luks",
       made_by("truncate -s 4M img && printf 'LUKS\\272\\276\\000\\001' | dd of=img "
               "conv=notrunc status=none && dd if=/dev/zero of=img bs=1 seek=8 count=32 "
               "conv=notrunc status=none"),
       none, unrecognized, "", false},
      {"swap", made_by("truncate -s 4M img && mkswap img"), none, unrecognized,
       "without a file system (swap)", false},
      {"raw_declared_but_qcow2", made_by("qemu-img create -f qcow2 img 1M"), kRaw, mismatch,
       "declared as raw, but it is a qcow2 image", true},
  };
}

INSTANTIATE_TEST_SUITE_P(Probe, Refuses, ::testing::ValuesIn(refused()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(Refuses, WhatIsNoImage) {
  const auto& one = GetParam();
  const auto result = imaging::probe_image(one.head, one.declared, false);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), one.code) << result.error().message();
  EXPECT_THAT(result.error().message(), HasSubstr(one.said));
  EXPECT_EQ(imaging::probe_image(one.head, one.declared, true).has_value(), !one.even_if_allowed);
}

TEST(Probe, ShowsTheFirstBytesWithoutTheirControlCharacters) {
  Bytes head = noise(4096);
  const Bytes evil = bytes_of("\x1b[2J\x07\"\n\x7f\xc3\xa4 end of what is shown and what is not");
  std::copy(evil.begin(), evil.end(), head.begin());
  const auto message = imaging::probe_image(head, {}, false).error().message();
  EXPECT_THAT(message, HasSubstr("1b 5b 32 4a 07 22 0a 7f c3 a4 20 65 6e 64"));
  EXPECT_THAT(message, HasSubstr("\".[2J.\".... end of what is shown \""));
  for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
}

TEST(Probe, NeedsAGptHeaderThatIsRight) {
  const Bytes head = made_by("truncate -s 64M img && printf 'label: gpt\\n,' | sfdisk -q img");
  for (const std::size_t at : {512 + 0, 512 + 16, 512 + 24, 512 + 40, 512 + 91}) {
    Bytes bad = head;
    bad[at] ^= std::byte{1};
    const auto found = imaging::probe_image(bad, {}, false);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->partition_table, "dos") << "the protective MBR is still there";
    EXPECT_EQ(found->gpt_sector_size, 0U);
  }
  Bytes unprotected = head;
  std::fill_n(unprotected.begin(), 512, std::byte{0});
  EXPECT_EQ(imaging::probe_image(unprotected, {}, false)->gpt_sector_size, 512U);
}

TEST(Probe, SurvivesEveryTruncationOfAnyHead) {
  for (const char* command :
       {"truncate -s 8M img && printf 'label: gpt\\n,' | sfdisk -q img",
        "qemu-img create -f vhdx img 64M", "truncate -s 1M img && mkfs.ext4 -q img"}) {
    const Bytes head = made_by(command);
    for (std::size_t size = 0; size < 5000; size += 61)
      (void)imaging::probe_image(std::span(head).first(size), {}, false);
  }
}

}  // namespace
}  // namespace ingot::test
