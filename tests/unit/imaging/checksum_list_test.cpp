// find_checksum(): the lists that publishers really serve, names that look like patterns, and
// everything that must not be guessed.
#include "imaging/checksum_list.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ingot::imaging {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kA(64, 'a');
const std::string kB(64, 'b');
const std::string kMd5(32, 'd');
const std::string kSha512(128, 'e');
const std::string kSha1(40, '1');
const std::string kBlake(128, 'c');

std::string found(const std::string& list, const ListedImage& image,
                  std::optional<DigestType> declared = {}) {
  const auto digest = find_checksum(list, image, declared);
  if (!digest) {
    EXPECT_EQ(digest.error().code(), Errc::checksum_list);
    return digest.error().message();
  }
  return digest->hex;
}
std::string found(const std::string& list, const std::string& file = "disk.img",
                  std::optional<DigestType> declared = {}) {
  return found(list, ListedImage("/" + file, "/SUMS", true), declared);
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

// Names as lists have them, the one of the image first.
struct PathCase {
  const char* image;
  const char* list;
  std::vector<std::string> right;
  std::vector<std::string> wrong;
};

TEST(ChecksumListTest, PathsFromTheListsFolder) {
  const std::vector<PathCase> cases = {
      {"https://h/pub/sub/x.raw", "https://h/pub/SUMS", {"sub/x.raw"}, {"x.raw", "y/x.raw"}},
      {"https://h/pub/x.raw", "https://h/pub/SUMS", {"x.raw"}, {"sub/x.raw", "pub/x.raw"}},
      {"https://h/pub/x.raw", "https://h/pub/SUMS", {"./x.raw"}, {"./sub/x.raw"}},
      {"https://h/pub/./sub/x.raw", "https://h/a/../pub/SUMS", {"././sub//x.raw"}, {"x.raw"}},
      {"https://h/pub/sub/x.raw?s=/x.raw", "https://h/pub/SUMS?d=/a/", {"sub/x.raw"}, {"x.raw"}},
      {"https://h/pub/a%20b/x%2eraw#f", "https://h/p%75b/SUMS", {"a b/x.raw"}, {"x.raw"}},
      {"https://h/pub/x.raw", "https://h/pub/sums/SUMS", {"../x.raw"}, {"x.raw", "sums/x.raw"}},
      {"https://h/pub/sub/x.raw", "https://h/pub/SUMS", {"old/../sub/x.raw"}, {"old/x.raw"}},
      {"http://u:p@H/pub/sub/x.raw", "https://h:443/pub/SUMS", {"sub/x.raw"}, {"x.raw"}},
      {"file:///pub/sub/x.raw", "file://localhost/pub/SUMS", {"sub/x.raw"}, {"x.raw"}},
      {"https://h/sub/x.raw", "https://h/SUMS", {"sub/x.raw"}, {"old/sub/x.raw", "x.raw"}},
      // One of these is not the base name of the other: base names count where no path does.
      {"https://h/pub/sub/x.raw", "https://h/pub/SUMS", {"x.raw"}, {"sub/xx.raw", "old/x.raw"}},
  };
  for (const auto& [image, list, right, wrong] : cases) {
    std::string text;
    for (const auto& name : wrong) text += kB + "  " + name + "\n";
    for (const auto& name : right) text += kA + "  " + name + "\n";
    for (const auto& name : wrong) text += "SHA256 (" + name + ") = " + kB + "\n";
    EXPECT_EQ(found(text, ListedImage::at_urls(image, list)), kA) << image << ' ' << list;
  }
}

TEST(ChecksumListTest, ListsElsewhereByTheLongestCommonEnd) {
  const std::vector<PathCase> cases = {
      {"https://h/pub/v2/x.raw", "https://o/SUMS", {"v2/x.raw"}, {"x.raw", "v1/x.raw"}},
      {"https://h/pub/v2/x.raw", "https://o/SUMS", {"old/v2/x.raw"}, {"x.raw", "old/v1/x.raw"}},
      {"https://h/pub/v2/x.raw", "https://o/SUMS", {"/srv/v2/x.raw"}, {"/srv/v1/x.raw"}},
      {"https://h/pub/v2/x.raw", "https://o/SUMS", {"x.raw"}, {"v1/x.raw"}},
      {"https://h/pub/v2/x.raw", "https://o/SUMS", {"../v2/x.raw"}, {"../x.raw", "v1/x.raw"}},
      {"https://h/pub/v2/x.raw", "https://h/sums/SUMS", {"v2/x.raw"}, {"x.raw"}},
      {"https://h/pub/x.raw", "https://h:8443/pub/SUMS", {"pub/x.raw"}, {"x.raw"}},
      {"https://h/pub/x.raw", "file:///pub/SUMS", {"pub/x.raw"}, {"x.raw"}},
  };
  for (const auto& [image, list, right, wrong] : cases) {
    std::string text;
    for (const auto& name : wrong) text += kB + "  " + name + "\n";
    for (const auto& name : right) text += kA + "  " + name + "\n";
    EXPECT_EQ(found(text, ListedImage::at_urls(image, list)), kA) << image << ' ' << list;
  }
  EXPECT_THAT(found(kA + "  y.raw\n", ListedImage::at_urls("http://h/s/x.raw", "http://h/SUMS")),
              HasSubstr("no line for \"s/x.raw\""));
  EXPECT_THAT(found(kA + "  y.raw\n", ListedImage::at_urls("http://h/s/x.raw", "http://o/SUMS")),
              HasSubstr("no line for \"x.raw\""));
  EXPECT_THAT(found(kA + "  s\n", ListedImage::at_urls("http://h/s/", "http://h/SUMS")),
              HasSubstr("no line for \"\""));
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

// openSUSE's "…-Cloud.qcow2" is an alias of the newest build, which alone its list names.
TEST(ChecksumListTest, AListOfTheImageMayNameItOtherwise) {
  const auto in = [](const std::string& list_name, const std::string& list) {
    return found(list, ListedImage("/p/VM-Cloud.qcow2", "/p/" + list_name, true));
  };
  const std::string build = kA + "  VM-15.6.0-Cloud-Build13.327.qcow2\n";
  for (const std::string name : {"VM-Cloud.qcow2.sha256", "VM-Cloud.qcow2.sha256sum",
                                 "VM-Cloud.qcow2.SHA-256", "VM-Cloud.qcow2.sha256.asc"}) {
    EXPECT_EQ(in(name, build), kA) << name;
    EXPECT_EQ(in(name, kA + "  -\n"), kA) << name;
    EXPECT_EQ(in(name, "SHA256 (-) = " + kA + "\nMD5 (-) = " + kMd5 + "\n"), kA) << name;
    EXPECT_EQ(in(name, "20240115 build 7\n" + build), kA) << name;
    EXPECT_EQ(in(name, build + kB + "  VM-Cloud.qcow2\n"), kB) << "its own name counts first";
    EXPECT_THAT(in(name, build + kB + "  -\n"), HasSubstr("no line for")) << name;
    EXPECT_THAT(in(name, build + kB + "\n"), HasSubstr("no line for")) << name;
    EXPECT_THAT(in(name, build + build + kB + build.substr(64)), HasSubstr("ambiguous")) << name;
    EXPECT_THAT(in(name, kA + "  VM-Build13.327.raw\n"), HasSubstr("no line for")) << name;
    EXPECT_THAT(in(name, "20240115 -\n"), HasSubstr("no line for")) << name;
  }
  for (const std::string name :
       {"SHA256SUMS", "VM-Cloud.qcow2", "VM-Cloud.qcow2.txt", "VM-Cloud.qcow2-sha256",
        "VM-Cloud.qcow2.list.sha256", "VM.qcow2.sha256", "VM-Cloud.qcow2x.sha256"}) {
    EXPECT_THAT(in(name, build), HasSubstr("no line for")) << name;
    EXPECT_THAT(in(name, kA + "  -\n"), HasSubstr("no line for")) << name;
  }
  // The checksum of what is packed is not that of the file.
  EXPECT_THAT(found(kA + "  x.raw\n", ListedImage("/x.raw.xz", "/x.raw.xz.sha256", true)),
              HasSubstr("no line for"));
  EXPECT_EQ(found(kA + "  b7\n", ListedImage("/latest", "/latest.sha256", true)), kA);
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

TEST(ChecksumListTest, ManyTypesMakeNoLongMessage) {
  std::string list;
  for (int i = 10'000; i < 32'000; ++i) list += fmt::format("T{} (disk.img) = {}\n", i, kA);
  EXPECT_THAT(found(list), AllOf(HasSubstr("only t10000, t10001, "),
                                 HasSubstr(", t10007 and 21992 more for"), SizeIs(Lt(500U))));
  EXPECT_THAT(found(list + kA + "  disk.img\n", "disk.img", DigestType::sha512),
              AllOf(HasSubstr("no sha512"), HasSubstr("more"), SizeIs(Lt(500U))));
  list.clear();
  for (int i = 0; i < 8; ++i) list += fmt::format("T{} (disk.img) = {}\n", i, kA);
  EXPECT_THAT(found(list), AllOf(HasSubstr(", t7 for"), Not(HasSubstr("more"))));
}

TEST(ChecksumListTest, ClearSignedLists) {
  const std::string list = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# Fedora\n" +
                           ("SHA256 (disk.img) = " + kA) + "\n- -----dashes-----\n" +
                           "-----BEGIN PGP SIGNATURE-----\n\n" + kB + "  disk.img\n=abcd\n" +
                           "-----END PGP SIGNATURE-----\n";
  EXPECT_EQ(found(list), kA);
}

// Gentoo's DIGESTS, and others with headings.
TEST(ChecksumListTest, HeadingsNameTheAlgorithm) {
  const std::string list =
      "-----BEGIN PGP SIGNED MESSAGE-----\nHash: BLAKE2B\n\n"
      "# BLAKE2B HASH\n" +
      kBlake +
      "  disk.img\n"
      "# SHA512 HASH\n" +
      kSha512 +
      "  disk.img\n"
      "# BLAKE2B HASH\n" +
      kBlake +
      "  disk.img.CONTENTS.gz\n"
      "# SHA512 HASH\n" +
      kBlake +
      "  disk.img.CONTENTS.gz\n"
      "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";
  EXPECT_EQ(found(list), kSha512);
  EXPECT_EQ(found(list, "disk.img", DigestType::sha512), kSha512);
  EXPECT_THAT(found(list, "disk.img", DigestType::sha256), HasSubstr("only blake2b, sha512"));
  EXPECT_THAT(found("# BLAKE2B HASH\n" + kBlake + "  disk.img\n"),
              AllOf(HasSubstr("only blake2b"), HasSubstr("not supported")));
  for (const std::string heading :
       {"# SHA512 HASH", "## sha-512 ##", "SHA512:", "[sha512]", "sha512sum", "# SHA2-512 of all",
        "# SHA512 checksums for Foo 12", "Hash: SHA512", "# SHA512 HASH\n# for amd64\n"}) {
    EXPECT_EQ(found("# BLAKE2B HASH\n" + kBlake + "  disk.img\n" + heading + "\n" + kSha512 +
                    "  disk.img\n"),
              kSha512)
        << heading;
  }
  EXPECT_EQ(found("# WHIRLPOOL HASH\n" + kBlake + "  x\n" + kA + "  disk.img\n"), kA)
      << "a heading is for values of its length";
}

TEST(ChecksumListTest, WhatIsAroundALineYieldsToADeclaration) {
  const std::string headed = "# BLAKE2B HASH\n" + kBlake + "  disk.img\n";
  EXPECT_EQ(found(headed, "disk.img", DigestType::sha512), kBlake);
  EXPECT_THAT(found(headed, "disk.img", DigestType::sha256),
              AllOf(HasSubstr("only blake2b"), HasSubstr("not supported")))
      << "not of that length";
  EXPECT_EQ(
      found(headed + "# SHA512 HASH\n" + kSha512 + "  disk.img\n", "disk.img", DigestType::sha512),
      kSha512)
      << "what the list says is of the type counts first";
  EXPECT_THAT(found(headed + kSha512 + "  disk.img\n", "disk.img", DigestType::sha512),
              HasSubstr("ambiguous"));
  EXPECT_EQ(found(headed + kA + "  disk.img\n", "disk.img", DigestType::sha512), kBlake);
  const auto in_b3sums = [](const std::string& line) {
    return found(line, ListedImage("/disk.img", "/B3SUMS", true), DigestType::sha256);
  };
  EXPECT_EQ(in_b3sums(kA + "  disk.img\n"), kA);
  EXPECT_THAT(in_b3sums("BLAKE3 (disk.img) = " + kA), HasSubstr("only blake3"))
      << "a line's own word stands";
  EXPECT_THAT(found("disk.img: SHA3-256 = AAAAAAAA BBBBBBBB CCCCCCCC DDDDDDDD AAAAAAAA BBBBBBBB "
                    "CCCCCCCC DDDDDDDD\n",
                    "disk.img", DigestType::sha256),
              HasSubstr("only sha3256"));
}

TEST(ChecksumListTest, RemarksOnFilesAreNoHeadings) {
  EXPECT_EQ(found("# sha3-tool.raw: 3 bytes\n" + kA + "  a.raw\n", "a.raw"), kA);
  EXPECT_EQ(found("# SHA512 HASH\n# blake2b.raw: 3 bytes\n" + kSha512 + "  a.raw\n", "a.raw"),
            kSha512)
      << "nor the end of one";
  for (const std::string remark : {"sha3-tool.raw", "sha3.raw is new", "sha3_x", "sha3sum-1.2.tgz",
                                   "sha3/a.raw", "sha3.raw: three bytes", "sha3: 64 bytes each-"}) {
    const bool heading = remark.starts_with("sha3:");
    const std::string list = "# " + remark + "\n" + kA + "  a.raw\n";
    EXPECT_THAT(found(list, "a.raw"), HasSubstr(heading ? "only sha3" : "does not say whether"))
        << remark;
    EXPECT_EQ(found(list, "a.raw", DigestType::sha256), kA) << remark;
  }
  for (const std::string heading : {"sha3", "sha3 of all", "sha3: of all", "(sha3) of all",
                                    "sha3sums, of all", "SHA3=", "sha3\tof all of these files"})
    EXPECT_THAT(found("# " + heading + "\n" + kA + "  a.raw\n", "a.raw"), HasSubstr("only sha3"))
        << heading;
}

TEST(ChecksumListTest, RemarksMayBeginWithHexDigits) {
  for (const std::string remark :
       {"20240115 build 7", "deadbeefcafe is the commit", "20240115", "deadbeef  disk.img"}) {
    EXPECT_EQ(found(remark + "\n" + kA + "\n"), kA) << remark;
    EXPECT_EQ(found(kA + "\n" + remark + "\n"), kA) << remark;
    EXPECT_EQ(found(remark + "\n" + kA + "  disk.img\n"), kA) << remark;
    EXPECT_THAT(found(remark + "\n" + kSha1 + "\n"), HasSubstr("has only sha1 for")) << remark;
    EXPECT_THAT(found(remark + "\n" + kSha1 + "  disk.img\n"), HasSubstr("has only sha1 for"));
  }
  EXPECT_THAT(found("20240115 build 7\n" + kA + "  other.img\n"), HasSubstr("no line for"));
  EXPECT_THAT(found("deadbeef  disk.img\n" + kA + "  other.img\n"), HasSubstr("value of 8 digits"));
  EXPECT_THAT(found("deadbeef  other.img\n"), HasSubstr("no line for"));
  EXPECT_THAT(found("deadbeef\n"), HasSubstr("only a value of 8 digits"));
}

TEST(ChecksumListTest, WhatNothingNamesMayBeAmbiguous) {
  for (const std::string other :
       {"BLAKE2B", "blake2b-512", "SHA3-512", "Whirlpool", "B2SUMS", "sha3"}) {
    const std::string list =
        kSha512 + "  disk.img\n# what follows are no longer " + other + " digests of the files\n";
    EXPECT_THAT(found(list), AllOf(HasSubstr("does not say whether"), HasSubstr("sha512 or")))
        << other;
    EXPECT_EQ(found(list, "disk.img", DigestType::sha512), kSha512) << other;
    EXPECT_THAT(found(list, "disk.img", DigestType::sha256), HasSubstr("no sha256")) << other;
    EXPECT_EQ(found(list, ListedImage("/disk.img", "/SHA512SUMS", true)), kSha512) << other;
    EXPECT_EQ(found(list + kMd5 + "  disk.img\n", "disk.img", DigestType::md5), kMd5) << other;
  }
  EXPECT_EQ(found("# we have no BLAKE2B\n" + kSha512 + "  disk.img\n" + kA + "  disk.img\n"), kA)
      << "of that length no other is spoken of";
  EXPECT_THAT(found("BLAKE2b (x) = " + kBlake + "\n" + kSha512 + "  disk.img\n"),
              HasSubstr("sha512 or blake2b"));
  EXPECT_THAT(found("# with sm3 and more\n" + kA + "  disk.img\n"), HasSubstr("sha256 or sm3"));
  EXPECT_THAT(found("# SHA512 and BLAKE2B\n" + kSha512 + "  disk.img\n"), HasSubstr("or blake2b"));
  EXPECT_THAT(found("# SHA512 HASH\n" + kSha512 + "  x\n# now all of the BLAKE2B values\n" +
                    kBlake + "  disk.img\n"),
              HasSubstr("sha512 or blake2b"))
      << "a heading ends where another algorithm is spoken of";
  // The values of two algorithms, and nothing says so.
  EXPECT_THAT(found(kBlake + "  disk.img\n" + kSha512 + "  disk.img\n"), HasSubstr("ambiguous"));
  // What publishers write about, and that is no second algorithm of this length.
  for (const std::string& harmless :
       {std::string("# made with sha512sum; see SHA256SUMS, md5 and sha1 too"),
        kA + "  blake2b.img", std::string("# blake2xyz, xblake2b, 12sha3, b2, sha3rd")}) {
    EXPECT_EQ(found(kSha512 + "  disk.img\n" + harmless + "\n"), kSha512) << harmless;
    EXPECT_EQ(found(harmless + "\n" + kSha512 + "  disk.img\n"), kSha512) << harmless;
  }
}

TEST(ChecksumListTest, TheListsNameNamesTheAlgorithm) {
  const auto in = [](const std::string& name, const std::string& hex) {
    return found(hex + "  disk.img\n", ListedImage("/p/disk.img", "/p/" + name, true));
  };
  for (const char* name : {"SHA512SUMS", "SHA512SUMS.txt", "disk.img.sha512", "x.sha512sum", "SUMS",
                           "Foo-40-x86_64-CHECKSUM", "sha-512.txt", "MD5SUMS", "DIGESTS"})
    EXPECT_EQ(in(name, kSha512), kSha512) << name;
  for (const char* name : {"B2SUMS", "disk.img.b2sum", "BLAKE2SUMS", "BLAKE2BSUMS", "WHIRLPOOLSUMS",
                           "SHA3-512SUMS", "SHA3SUMS", "disk.img.sha3", "x-sha3-512.txt"})
    EXPECT_THAT(in(name, kSha512), AllOf(HasSubstr("only "), HasSubstr("not supported"))) << name;
  for (const char* name : {"B3SUMS", "SHA512-256SUMS", "SHA3-256SUMS", "disk.img.sm3"})
    EXPECT_THAT(in(name, kA), AllOf(HasSubstr("only "), HasSubstr("not supported"))) << name;
  for (const char* name : {"disk.img.b2", "other.img.B2", "b2.txt", "disk.img.b2.asc"}) {
    EXPECT_THAT(in(name, kSha512), HasSubstr("only blake2b for")) << name;
    EXPECT_EQ(in(name, kA), kA) << name;
  }
  for (const char* name : {"disk.img.b3", "b3"}) {
    EXPECT_THAT(in(name, kA), HasSubstr("only blake3 for")) << name;
    EXPECT_EQ(in(name, kSha512), kSha512) << name;
  }
  for (const char* name :
       {"disk.img.b2x", "Foo-43_b2.txt", "Foo-43-b2-CHECKSUM", "x.lib2", "disk.img.b2.sha512"})
    EXPECT_EQ(in(name, kSha512), kSha512) << name;
  EXPECT_EQ(found("# b2\n" + kSha512 + "\n# b3\n" + kA + "\n"), kSha512) << "too short for prose";
  EXPECT_THAT(found(kSha512 + "  disk-7.img\n", ListedImage("/disk.img", "/disk.img.b2", true)),
              HasSubstr("only blake2b"));
  EXPECT_THAT(found(kSha512, ListedImage("/disk.img", "/disk.img.b2sum", true)),
              HasSubstr("only blake2b"));
  EXPECT_EQ(found(kSha512, ListedImage("/blake2b.img", "/blake2b.img.SUM", true)), kSha512)
      << "the image's name says nothing";
  EXPECT_EQ(found("SHA512 (disk.img) = " + kSha512, ListedImage("/disk.img", "/B2SUMS", true)),
            kSha512)
      << "a line's own name counts first";
}

// As gpg 2.2.40 prints them: of "abc".
TEST(ChecksumListTest, GpgPrintMd) {
  const std::string md5 = "900150983cd24fb0d6963f7d28e17f72";
  const std::string sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const std::string sha512 =
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
  EXPECT_EQ(found("disk.img: 90 01 50 98 3C D2 4F B0  D6 96 3F 7D 28 E1 7F 72\n"), md5);
  const std::string two =
      "disk.img: BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61\n"
      "          F20015AD\n"
      "other: g.img: BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C\r\n"
      "               B410FF61 00000000\r\n";
  EXPECT_EQ(found(two), sha256);
  EXPECT_EQ(found(two, "other: g.img"), sha256.substr(0, 56) + "00000000");
  EXPECT_THAT(found(two, "third"), HasSubstr("\"disk.img\", \"other: g.img\""));
  const std::string all =
      "disk.img:    MD5 = 90 01 50 98 3C D2 4F B0  D6 96 3F 7D 28 E1 7F 72\n"
      "disk.img:   SHA1 = A999 3E36 4706 816A BA3E  2571 7850 C26C 9CD0 D89D\n"
      "disk.img: RMD160 = 8EB2 08F7 E05D 987A 9B04  4A8E 98C6 B087 F15A 0BFC\n"
      "disk.img: SHA224 = 23097D22 3405D822 8642A477 BDA255B3 2AADBCE4 BDA0B3F7\n"
      "                   E36C9DA7\n"
      "disk.img: SHA256 = BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C\n"
      "                   B410FF61 F20015AD\n"
      "disk.img: SHA384 = CB00753F 45A35E8B B5A03D69 9AC65007 272C32AB 0EDED163\n"
      "                   1A8B605A 43FF5BED 8086072B A1E7CC23 58BAECA1 34C825A7\n"
      "disk.img: SHA512 = DDAF35A1 93617ABA CC417349 AE204131 12E6FA4E 89A97EA2\n"
      "                   0A9EEEE6 4B55D39A 2192992A 274FC1A8 36BA3C23 A3FEEBBD\n"
      "                   454D4423 643CE80E 2A9AC94F A54CA49F\n";
  EXPECT_EQ(found(all), sha512);
  EXPECT_EQ(found(all, "disk.img", DigestType::sha256), sha256);
  EXPECT_EQ(found(all, "disk.img", DigestType::md5), md5);
  // A name of more than some 36 characters stands on a line of its own.
  const std::string name(60, 'n');
  EXPECT_EQ(found(name +
                      ": \n"
                      "DDAF35A1 93617ABA CC417349 AE204131 12E6FA4E 89A97EA2 0A9EEEE6 4B55D39A "
                      "2192992A\n"
                      " 274FC1A8 36BA3C23 A3FEEBBD 454D4423 643CE80E 2A9AC94F A54CA49F\n" +
                      name + "o: \n   MD5 = 90 01 50 98 3C D2 4F B0  D6 96 3F 7D 28 E1 7F 72\n",
                  name),
            sha512);
  EXPECT_EQ(found(name + ": \n   MD5 = 90 01 50 98 3C D2 4F B0  D6 96 3F 7D 28 E1 7F 72\n" + name +
                      ": \nSHA256 = BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61 "
                      "F20015AD\n",
                  name),
            sha256);
  const std::string value =
      "AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA";
  EXPECT_EQ(found(name +
                      ": \nSHA256 = BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61 "
                      "F20015AD\nn: \nSHA256 = " +
                      value + "\nothers:\n\n" + value + "\n",
                  name),
            sha256);
  // Of standard input: values alone.
  EXPECT_EQ(found("BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61 F20015AD\n"),
            sha256);
  EXPECT_EQ(found("SHA256:\nBA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61 "
                  "F20015AD\n"),
            sha256);
  // Cut short, another group size, and lines that only look like it.
  EXPECT_THAT(found("disk.img: BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3\n"),
              HasSubstr("only sha1"));
  EXPECT_THAT(found("disk.img: BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C B410FF61\n"
                    "          F200\n"),
              HasSubstr("sha224"));
  EXPECT_EQ(found("Date: 20 24\nsize: 1234 5678\n" + kA + "\n"), kA);
  EXPECT_EQ(found("12345678 12345678\n" + kA + "\n"), kA);
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
