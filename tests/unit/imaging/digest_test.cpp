// Digests are computed right.
#include "imaging/digest.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace ingot::imaging {
namespace {

constexpr std::string_view kMd5OfAbc = "900150983cd24fb0d6963f7d28e17f72";
constexpr std::string_view kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kSha512OfAbc =
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(HasherTest, KnownAnswers) {  // FIPS 180-2, RFC 1321
  for (const auto& [type, hex] :
       {std::pair{DigestType::md5, kMd5OfAbc}, std::pair{DigestType::sha256, kSha256OfAbc},
        std::pair{DigestType::sha512, kSha512OfAbc}}) {
    Hasher hasher(type);
    hasher.update(bytes("abc"));
    EXPECT_EQ(hasher.snapshot(), (Digest{type, std::string(hex)}));
  }
  EXPECT_EQ(Hasher(DigestType::md5).snapshot().hex, "d41d8cd98f00b204e9800998ecf8427e");
}

TEST(HasherTest, SnapshotsLeaveItGoingOn) {
  Hasher hasher(DigestType::sha256);
  hasher.update(bytes("a"));
  const auto one = hasher.snapshot();
  EXPECT_EQ(hasher.snapshot(), one);
  hasher.update(bytes("b"));
  Hasher moved = std::move(hasher);
  moved.update({});
  moved.update(bytes("c"));
  EXPECT_EQ(moved.snapshot().hex, kSha256OfAbc);
}

TEST(HasherTest, ThreadsMayStartAtOnce) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      Hasher hasher(DigestType::md5);
      hasher.update(bytes("abc"));
      EXPECT_EQ(hasher.snapshot().hex, kMd5OfAbc);
    });
}

}  // namespace
}  // namespace ingot::imaging
