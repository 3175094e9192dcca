#include "agent/ironic/lldp.hpp"

#include <gtest/gtest.h>

#include <random>

namespace ingot::agent {
namespace {

using namespace std::string_literals;

std::string tlv(unsigned type, const std::string& value) {
  const unsigned head = type << 9 | static_cast<unsigned>(value.size());
  return std::string{static_cast<char>(head >> 8), static_cast<char>(head & 0xFFU)} + value;
}

std::string frame(const std::string& message, const std::string& type = "\x88\xcc") {
  return "\x01\x80\xc2\0\0\x0e"
         "\x52\x54\0\0\0\1"s +
         type + message;
}

std::optional<std::vector<LldpTlv>> parse(const std::string& bytes) {
  // A buffer of exactly that size, so that the address sanitizer sees what is read beyond it.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return parse_lldp_frame(std::as_bytes(std::span(exact)));
}

const std::string kChassis = tlv(1, "\x04\x52\x54\0\0\0\1"s);
const std::string kPort = tlv(2, "\x05"s + "Ethernet1/1");
const std::string kTtl = tlv(3, "\0\x78"s);
const std::string kEnd = tlv(0, "");

TEST(Lldp, AMessage) {
  const auto tlvs = parse(frame(kChassis + kPort + kTtl + tlv(5, "switch") +
                                tlv(127, "\0\x80\xc2\1\0\x64"s) + kEnd + std::string(20, '\xff')));
  ASSERT_TRUE(tlvs);
  EXPECT_EQ(*tlvs, (std::vector<LldpTlv>{{1, "\x04\x52\x54\0\0\0\1"s},
                                         {2, "\x05"s + "Ethernet1/1"},
                                         {3, "\0\x78"s},
                                         {5, "switch"},
                                         {127, "\0\x80\xc2\1\0\x64"s}}));
  EXPECT_TRUE(parse(frame(kChassis + kPort + kTtl))) << "without an end";
  EXPECT_TRUE(parse(frame(kChassis + kPort + kTtl + tlv(8, std::string(511, 'x')))));
}

TEST(Lldp, NoMessages) {
  const std::string whole = kChassis + kPort + kTtl;
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse(frame("")));
  EXPECT_FALSE(parse(frame(whole, "\x08\x06")));
  EXPECT_FALSE(parse(frame(kEnd + whole)));
  EXPECT_FALSE(parse(frame(kPort + kChassis + kTtl)));
  EXPECT_FALSE(parse(frame(kChassis + kPort + kEnd + kTtl)));
  EXPECT_FALSE(parse(frame(kChassis + kPort + tlv(3, "\0\0"s)))) << "it is going";
  EXPECT_FALSE(parse(frame(kChassis + kPort + tlv(3, "x"))));
  EXPECT_FALSE(parse(frame(tlv(1, "x") + kPort + kTtl)));
  EXPECT_FALSE(parse(frame(tlv(1, std::string(257, 'x')) + kPort + kTtl)));
  EXPECT_FALSE(parse(frame(whole + "\x0a"))) << "half a head";
  EXPECT_FALSE(parse(frame(whole + "\x0a\x05"s + "abcd"))) << "a byte short";
  EXPECT_FALSE(parse(frame(whole + "\xff\xff"s + "abcd")));
}

TEST(Lldp, AtMost256Elements) {
  std::string many = kChassis + kPort + kTtl;
  for (int i = 3; i < 256; ++i) many += tlv(4, "");
  ASSERT_TRUE(parse(frame(many)));
  EXPECT_EQ(parse(frame(many))->size(), 256U);
  EXPECT_FALSE(parse(frame(many + tlv(4, ""))));
}

TEST(Lldp, DamagedMessages) {
  const std::string good = frame(kChassis + kPort + kTtl + tlv(5, "switch") + kEnd);
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    const auto tlvs = parse(good.substr(0, cut));
    EXPECT_TRUE(!tlvs || tlvs->size() == 3 || tlvs->size() == 4) << cut;
  }
  std::minstd_rand random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (int flips = 0; flips < 3; ++flips)
      bad[random() % bad.size()] = static_cast<char>(random());
    if (const auto tlvs = parse(bad)) {
      std::size_t sum = 0;
      for (const auto& one : *tlvs) sum += 2 + one.value.size();
      EXPECT_LE(sum, bad.size());
    }
  }
}

TEST(Lldp, NobodyToListenTo) {
  const auto begin = std::chrono::steady_clock::now();
  const auto heard = listen_for_lldp({}, std::chrono::seconds(30), {});
  ASSERT_TRUE(heard);
  EXPECT_TRUE(heard->empty());
  const auto missing = listen_for_lldp({"none-such-0"}, std::chrono::seconds(30), {});
  ASSERT_TRUE(missing);
  EXPECT_TRUE(missing->empty());
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(listen_for_lldp({"lo"}, std::chrono::seconds(30), stop.get_token()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace ingot::agent
