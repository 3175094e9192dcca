// Text for people and quantities from them.
#include "agent/text/text.hpp"

#include <gtest/gtest.h>

#include "agent/text/quantity.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

TEST(Quantity, Sizes) {
  EXPECT_EQ(parse_size("0", "o").value(), 0U);
  EXPECT_EQ(parse_size("1536", "o").value(), 1536U);
  EXPECT_EQ(parse_size("4K", "o").value(), 4096U);
  EXPECT_EQ(parse_size("4k", "o").value(), 4096U);
  EXPECT_EQ(parse_size("3MiB", "o").value(), 3 * MiB);
  EXPECT_EQ(parse_size("3MB", "o").value(), 3 * MiB);
  EXPECT_EQ(parse_size("20G", "o").value(), 20 * GiB);
  EXPECT_EQ(parse_size("2T", "o").value(), 2048 * GiB);
  EXPECT_EQ(parse_size("18446744073709551615", "o").value(), UINT64_MAX);
  for (const char* wrong : {"", "G", "-1", "+1", " 1", "1 G", "1.5G", "1X", "1Gi", "1BiB", "0x10",
                            "18446744073709551616", "16777216T", "99999999999999999999999G"}) {
    const auto size = parse_size(wrong, "--size");
    ASSERT_FALSE(size) << wrong;
    EXPECT_EQ(size.error().code(), Errc::usage_option);
    EXPECT_NE(size.error().message().find("--size"), std::string::npos);
  }
}

TEST(Quantity, Durations) {
  EXPECT_EQ(parse_duration("30", "o").value().count(), 30'000);
  EXPECT_EQ(parse_duration("250ms", "o").value().count(), 250);
  EXPECT_EQ(parse_duration("5m", "o").value().count(), 300'000);
  EXPECT_EQ(parse_duration("1h", "o").value().count(), 3'600'000);
  for (const char* wrong : {"", "0", "s", "-1s", "1d", "8000000000h", "169h", "1.5s"})
    EXPECT_FALSE(parse_duration(wrong, "o")) << wrong;
}

TEST(Quantity, DurationsForPeople) {
  using std::chrono::milliseconds;
  EXPECT_EQ(format_duration(milliseconds(1234)), "1.2 s");
  EXPECT_EQ(format_duration(milliseconds(59'499)), "59 s");
  EXPECT_EQ(format_duration(milliseconds(187'000)), "3:07 min");
  EXPECT_EQ(format_duration(milliseconds(7'290'000)), "2:01:30 h");
}

TEST(Text, ForTerminalsHoldsNoControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\nc\x7f"), "a?[31mb c?");
  EXPECT_EQ(printable("grün"), "grün");
}

}  // namespace
}  // namespace ingot::agent
