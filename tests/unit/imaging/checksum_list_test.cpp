// find_checksum(): the lists that publishers really serve, names that look like patterns, and
// everything that must not be guessed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imaging/digest.hpp"

namespace ingot::imaging {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kA(64, 'a');
const std::string kB(64, 'b');
const std::string kMd5(32, 'd');
const std::string kSha512(128, 'e');
const std::string kSha1(40, '1');

std::string found(const std::string& list, const std::string& file = "disk.img",
                  std::optional<DigestType> declared = {}) {
  const auto digest = find_checksum(list, file, declared);
  if (!digest) {
    EXPECT_EQ(digest.error().code(), Errc::checksum_list);
    return digest.error().message();
  }
  return digest->hex;
}

TEST(ChecksumListTest, GnuLines) {
  EXPECT_EQ(found(kB + "  other.img\n" + kA + "  disk.img\n"), kA);
  EXPECT_EQ(found(kA + " *disk.img"), kA);
  EXPECT_EQ(found(kA + " disk.img\n"), kA);
  EXPECT_EQ(found(kA + "\tdisk.img  \n"), kA);
  EXPECT_EQ(found("\xef\xbb\xbf" + kA + "  disk.img\r\n" + kB + "  x\r\n"), kA);
  EXPECT_EQ(found("# " + kB + "  disk.img\n\n   \n" + kA + "  disk.img\n"), kA);
  EXPECT_EQ(found(std::string(64, 'A') + "  disk.img\n"), kA);
}

TEST(ChecksumListTest, BsdLines) {
  EXPECT_EQ(found("SHA256 (disk.img) = " + kA + "\nMD5 (disk.img) = " + kMd5 + "\n"), kA);
  EXPECT_EQ(found("SHA256(disk.img)= " + kA), kA);
  EXPECT_EQ(found("SHA2-256(disk.img)= " + kA), kA);
  EXPECT_EQ(found("# disk.img: 5 bytes\nSHA512 (disk.img) = " + kSha512), kSha512);
  EXPECT_EQ(found("SHA256 (a) = b (c).img) = " + kA, "a) = b (c).img"), kA);
}

TEST(ChecksumListTest, SeveralTypesOfOneFile) {
  const std::string list = "MD5 (disk.img) = " + kMd5 + "\nSHA256 (disk.img) = " + kA +
                           "\nSHA1 (disk.img) = " + kSha1 + "\nSHA512 (disk.img) = " + kSha512;
  EXPECT_EQ(found(list), kSha512) << "the strongest";
  EXPECT_EQ(found(list, "disk.img", DigestType::md5), kMd5);
  EXPECT_EQ(found(list, "disk.img", DigestType::sha256), kA);
  EXPECT_THAT(found("MD5 (disk.img) = " + kMd5, "disk.img", DigestType::sha256),
              AllOf(HasSubstr("no sha256"), HasSubstr("only md5")));
}

TEST(ChecksumListTest, BareValues) {
  EXPECT_EQ(found(kA), kA);
  EXPECT_EQ(found("  " + kA + "  \r\n\n"), kA);
  EXPECT_EQ(found("# of disk.img\n" + kA + "\n"), kA);
  EXPECT_THAT(found(kA + "\n" + kB + "\n"), HasSubstr("ambiguous"));
  EXPECT_THAT(found(kSha1), HasSubstr("sha1"));
  EXPECT_THAT(found(kA + "\n" + kB + "  other.img\n"), HasSubstr("no line for \"disk.img\""));
}

TEST(ChecksumListTest, NamesAreLiteral) {
  for (const std::string name : {"a.b", "a+b(1)[x]*.img", "disk 1.img", "^disk$", "a\\b",
                                 "100%.img", " leading", "*star", "#1.img", "(x) = y"}) {
    EXPECT_EQ(found(kB + "  aXb\n" + kA + "  " + name + "\n" + kB + "  a.bc\n", name), kA) << name;
    EXPECT_EQ(found(kA + " *" + name + "\n", name), kA) << name;
    EXPECT_EQ(found("SHA256 (" + name + ") = " + kA + "\n", name), kA) << name;
  }
  EXPECT_THAT(found(kA + "  diskXimg\n"), HasSubstr("no line for \"disk.img\""));
  EXPECT_THAT(found(kA + "  disk.img.sig\n" + kA + "  xdisk.img\n" + kA + "  DISK.IMG\n"),
              AllOf(HasSubstr("no line"), HasSubstr("disk.img.sig"), HasSubstr("DISK.IMG")));
}

TEST(ChecksumListTest, EscapedNames) {
  EXPECT_EQ(found("\\" + kA + "  na\\\\me\n", "na\\me"), kA);
  EXPECT_EQ(found("\\" + kA + "  two\\nlines\n", "two\nlines"), kA);
  EXPECT_EQ(found("\\SHA256 (na\\\\me) = " + kA + "\n", "na\\me"), kA);
  EXPECT_EQ(found(kA + "  na\\\\me\n", "na\\\\me"), kA) << "not escaped without the mark";
}

TEST(ChecksumListTest, PathsByTheirLastComponent) {
  EXPECT_EQ(found(kA + "  ./disk.img\n"), kA);
  EXPECT_EQ(found(kA + "  images/x86/disk.img\n" + kB + "  images/other.img\n"), kA);
  EXPECT_EQ(found(kB + "  old/disk.img\n" + kA + "  disk.img\n"), kA) << "exact first";
  EXPECT_THAT(found(kB + "  old/disk.img\n" + kA + "  new/disk.img\n"), HasSubstr("ambiguous"));
  EXPECT_EQ(found(kA + "  old/disk.img\n" + kA + "  new/disk.img\n"), kA) << "the same value";
  EXPECT_THAT(found(kA + "  disk.img\n" + kB + "  disk.img\n"),
              AllOf(HasSubstr("ambiguous"), HasSubstr(kA), HasSubstr(kB)));
}

TEST(ChecksumListTest, UnsupportedTypesAreNamed) {
  EXPECT_THAT(found(kSha1 + "  disk.img\n" + kA + "  other.img\n"),
              AllOf(HasSubstr("only sha1"), HasSubstr("not supported")));
  EXPECT_THAT(found("SHA384 (disk.img) = " + std::string(96, 'f')), HasSubstr("sha384"));
  EXPECT_THAT(found("BLAKE2b (disk.img) = " + std::string(128, 'f')), HasSubstr("blake2b"));
  EXPECT_THAT(found("SHA512/256 (disk.img) = " + kA), HasSubstr("sha512/256"));
  EXPECT_THAT(found("SHA256 (disk.img) = " + kMd5), HasSubstr("sha256 of 32 digits"));
  EXPECT_THAT(found(kA.substr(1) + "  disk.img\n"), HasSubstr("63 digits"));
  EXPECT_EQ(found(kSha1 + "  disk.img\n" + kA + "  disk.img\n"), kA);
}

TEST(ChecksumListTest, ClearSignedLists) {
  const std::string list = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# Fedora\n" +
                           ("SHA256 (disk.img) = " + kA) + "\n- -----dashes-----\n" +
                           "-----BEGIN PGP SIGNATURE-----\n\n" + kB + "  disk.img\n=abcd\n" +
                           "-----END PGP SIGNATURE-----\n";
  EXPECT_EQ(found(list), kA);
}

TEST(ChecksumListTest, WhatIsNoList) {
  EXPECT_THAT(found(" \n<!DOCTYPE html><html>" + kA + "  disk.img</html>"), HasSubstr("web page"));
  EXPECT_THAT(found(""), HasSubstr("empty"));
  EXPECT_THAT(found(" \r\n\t\n"), HasSubstr("empty"));
  EXPECT_THAT(found("not found\n"), AllOf(HasSubstr("no line with"), HasSubstr("not found")));
  EXPECT_THAT(found(std::string("\x1b[2J\0x", 6)), HasSubstr("\\x1b"));
  EXPECT_THAT(found(kA + "  disk.img\n", ""), HasSubstr("no line for \"\""));
}

TEST(ChecksumListTest, LongListsAndLongLines) {
  std::string list;
  for (int i = 0; i < 20'000; ++i) list += kB + "  file-" + std::to_string(i) + "\n";
  EXPECT_EQ(found(list + kA + "  disk.img"), kA);
  EXPECT_THAT(found(list), HasSubstr("19997 more"));
  EXPECT_THAT(found(std::string(1'000'000, 'a')), HasSubstr("1000000 digits"));
}

}  // namespace
}  // namespace ingot::imaging
