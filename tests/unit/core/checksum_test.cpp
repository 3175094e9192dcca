// Checksums and their types as users write them.
#include "disk/core/checksum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kMd5OfAbc = "900150983cd24fb0d6963f7d28e17f72";
constexpr std::string_view kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kSha512OfAbc =
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

TEST(ParseChecksumTest, TypeByLengthCaseAndSpace) {
  EXPECT_EQ(parse_checksum(kMd5OfAbc, {})->type, DigestType::md5);
  EXPECT_EQ(parse_checksum(kSha512OfAbc, {})->type, DigestType::sha512);
  std::string upper(kSha256OfAbc);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const auto digest = parse_checksum(" \t" + upper + "\r\n", DigestType::sha256);
  EXPECT_EQ(digest.value(), (Digest{DigestType::sha256, std::string(kSha256OfAbc)}));
}

TEST(ParseChecksumTest, TypeInFront) {
  for (const auto& [type, hex] :
       {std::pair{DigestType::md5, kMd5OfAbc}, std::pair{DigestType::sha256, kSha256OfAbc},
        std::pair{DigestType::sha512, kSha512OfAbc}}) {
    const Digest digest{type, std::string(hex)};
    const std::string text = std::string(name(type)) + ":" + std::string(hex);
    EXPECT_EQ(parse_checksum(text, {}).value(), digest);
    EXPECT_EQ(parse_checksum(" " + text + "\n", type).value(), digest);
  }
  EXPECT_EQ(parse_checksum("SHA256: " + std::string(64, 'A'), {})->hex, std::string(64, 'a'));
}

TEST(ParseChecksumTest, Refused) {
  const auto refused = [](const std::string& text, std::optional<DigestType> declared = {}) {
    const auto digest = parse_checksum(text, declared);
    EXPECT_FALSE(digest) << text;
    EXPECT_EQ(digest ? Errc::cancelled : digest.error().code(), Errc::usage_checksum);
    return digest ? std::string() : digest.error().message();
  };
  EXPECT_THAT(refused(std::string(40, 'a')), HasSubstr("sha1"));
  EXPECT_THAT(refused(std::string(56, 'a')), HasSubstr("sha224"));
  EXPECT_THAT(refused(std::string(96, 'a')), HasSubstr("sha384"));
  EXPECT_THAT(refused(std::string(63, 'a')), HasSubstr("63 digits"));
  EXPECT_THAT(refused(std::string(64, 'g')), HasSubstr("hexadecimal"));
  EXPECT_THAT(refused(std::string(64, 'a'), DigestType::md5), HasSubstr("sha256's length"));
  EXPECT_THAT(refused("sha512:" + std::string(64, 'a')),
              AllOf(HasSubstr("says sha512"), HasSubstr("sha256's length")));
  EXPECT_THAT(refused("sha256:" + std::string(64, 'a'), DigestType::sha512),
              AllOf(HasSubstr("says sha256"), HasSubstr("given as sha512")));
  EXPECT_THAT(refused("sha512:" + std::string(64, 'a'), DigestType::sha256), HasSubstr("sha512"));
  for (const char* other : {"sha1", "SHA384", "blake2b", "sha3-256", "sm3"})
    EXPECT_THAT(refused(other + (":" + std::string(64, 'a'))), HasSubstr("not supported")) << other;
  EXPECT_THAT(refused("sha256:"), HasSubstr("no value"));
  EXPECT_THAT(refused("sha256:sha256:" + std::string(64, 'a')), HasSubstr("hexadecimal"));
  EXPECT_THAT(refused("sha256:https://h/SUMS"), HasSubstr("hexadecimal"));
  EXPECT_THAT(refused("ftp://h/SUMS"), HasSubstr("hexadecimal"));
  EXPECT_THAT(refused(":" + std::string(64, 'a')), HasSubstr("hexadecimal"));
  refused("");
  refused(" \n");
  refused("0x" + std::string(62, 'a'));
  refused(std::string(32, 'a') + " " + std::string(31, 'a'));
  refused("\x1b[2J");
}

TEST(ParseDigestTypeTest, Names) {
  EXPECT_EQ(parse_digest_type("SHA256").value(), DigestType::sha256);
  EXPECT_EQ(parse_digest_type("md5").value(), DigestType::md5);
  EXPECT_EQ(parse_digest_type(" sha512 ").value(), DigestType::sha512);
  EXPECT_EQ(parse_digest_type("auto").value(), std::nullopt);
  EXPECT_EQ(parse_digest_type("").value(), std::nullopt);
  for (const char* bad : {"sha1", "sha384", "sha-256", "crc32", "sha2567"}) {
    const auto type = parse_digest_type(bad);
    ASSERT_FALSE(type) << bad;
    EXPECT_THAT(type.error().message(), HasSubstr(bad));
  }
}

TEST(IsChecksumUrlTest, SchemesOnly) {
  for (const char* url : {"http://h/SUMS", "HTTPS://h/SUMS", " file:///SUMS"})
    EXPECT_TRUE(is_checksum_url(url)) << url;
  for (const char* none : {"", "http://", "ftp://h/x", "abcdef", "/SUMS", "httpx://h"})
    EXPECT_FALSE(is_checksum_url(none)) << none;
}

}  // namespace
}  // namespace ingot
