#include "agent/machine/kernel_text.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

TEST(KernelText, KeepsWellFormedTextOnly) {
  EXPECT_EQ(clean_text("  Server X \n"), "Server X");
  EXPECT_EQ(clean_text("Gerät €  𝄞"), "Gerät €  𝄞");
  EXPECT_EQ(clean_text("a\x1b[31m\tb\x7f"), "a[31mb");
  EXPECT_EQ(clean_text("a\xc2\x85z"), "az") << "C1 control";
  EXPECT_EQ(clean_text("caf\xe9 x"), "caf x") << "Latin-1";
  EXPECT_EQ(clean_text("a\xc0\xaf|"), "a|") << "overlong";
  EXPECT_EQ(clean_text("a\xe0\x80\xaf|"), "a|") << "overlong";
  EXPECT_EQ(clean_text("a\xed\xa0\x80|"), "a|") << "surrogate";
  EXPECT_EQ(clean_text("a\xf4\x90\x80\x80|"), "a|") << "beyond Unicode";
  EXPECT_EQ(clean_text("a\xe2\x82"), "a") << "cut";
  EXPECT_EQ(clean_text(std::string_view("a\0b", 3)), "ab");
  EXPECT_EQ(clean_text(" \n "), "");
}

TEST(KernelText, ReadsWithALimitAndNeverWaits) {
  test::TempDir dir;
  std::ofstream(dir.path("large")) << std::string(100'000, 'x');
  std::ofstream(dir.path("number")) << "42\n";
  std::ofstream(dir.path("negative")) << "-1\n";
  std::ofstream(dir.path("huge")) << "18446744073709551616\n";
  ASSERT_EQ(::mkfifo(dir.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_bytes(dir.path("large"), 50'000).size(), 50'000U);
  EXPECT_EQ(read_text(dir.path("large")).size(), 4096U);
  EXPECT_EQ(read_bytes(dir.path("fifo"), 10), "");
  EXPECT_EQ(read_bytes(dir.path("missing"), 10), "");
  EXPECT_EQ(read_number(dir.path("number")), 42U);
  EXPECT_FALSE(read_number(dir.path("negative")));
  EXPECT_FALSE(read_number(dir.path("huge")));
  EXPECT_FALSE(read_number(dir.path("missing")));
  EXPECT_EQ(names_in(dir.path(".")),
            (std::vector<std::string>{"fifo", "huge", "large", "negative", "number"}));
  EXPECT_EQ(link_name(dir.path("number")), "");
}

}  // namespace
}  // namespace ingot::agent
