// The small parts: quantities, the memory budget, exit codes, secrets.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/exit_code.hpp"
#include "agent/memory_budget.hpp"
#include "agent/quantity.hpp"
#include "agent/secrets.hpp"
#include "agent/text.hpp"
#include "tests/support/command.hpp"

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

TEST(MemoryBudget, IsSharedOutCompletely) {
  const auto standard = split_memory(kDefaultMemoryLimit).value();
  EXPECT_EQ(standard.ring_blocks, 16U);
  EXPECT_EQ(standard.writer_buffers, 24U);
  EXPECT_EQ(standard.hold_limit, 24 * MiB);
  EXPECT_EQ(MemoryBudget{}.total(), kDefaultMemoryLimit);
  for (std::uint64_t limit = kMinMemoryLimit; limit < 4 * GiB; limit += 37 * MiB + 511) {
    const auto budget = split_memory(limit).value();
    EXPECT_LE(budget.total(), limit);
    EXPECT_GT(budget.total() + MiB, limit);
    EXPECT_GE(budget.ring_blocks, 8U);
    EXPECT_GE(budget.writer_buffers, 12U);
    EXPECT_GE(budget.hold_limit, 12 * MiB);
  }
  EXPECT_TRUE(split_memory(UINT64_MAX));
  EXPECT_EQ(split_memory(kMinMemoryLimit - 1).error().code(), Errc::usage_option);
}

TEST(ExitCode, IsTheContract) {
  EXPECT_EQ(exit_code(ErrorClass::internal), 1);
  EXPECT_EQ(exit_code(ErrorClass::usage), 2);
  EXPECT_EQ(exit_code(ErrorClass::source), 3);
  EXPECT_EQ(exit_code(ErrorClass::checksum), 4);
  EXPECT_EQ(exit_code(ErrorClass::image), 5);
  EXPECT_EQ(exit_code(ErrorClass::device), 6);
  EXPECT_EQ(exit_code(ErrorClass::write), 7);
  EXPECT_EQ(exit_code(ErrorClass::controller), 8);
  EXPECT_EQ(exit_code(ErrorClass::access), 9);
  EXPECT_EQ(exit_code(ErrorClass::cancelled), 130);
}

TEST(ExitCode, EveryCodeIsDocumentedWithItsClassAndExitCode) {
  const auto path = std::filesystem::path(INGOT_SOURCE_DIR) / "docs/errors.md";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  for (const Errc code : all_error_codes()) {
    const ErrorClass cls = class_of(code);
    std::ostringstream row;
    row << "| `" << name(code) << "` | " << name(cls) << " | " << exit_code(cls) << " | ";
    EXPECT_NE(text.str().find(row.str()), std::string::npos) << row.str();
  }
}

std::string scrubbed(std::string argument) {
  char program[] = "ingot";
  char* argv[] = {program, argument.data(), nullptr};
  scrub_arguments(2, argv);
  return argument;
}

TEST(Secrets, AreOverwrittenInArguments) {
  EXPECT_EQ(scrubbed("https://me:pw@host/x"), "https://*****@host/x");
  EXPECT_EQ(scrubbed("--image-url=https://me:pw@host/x?sig=abc&e=1#f"),
            "--image-url=https://*****@host/x?sig=***&e=*#f");
  EXPECT_EQ(scrubbed("https://me:p@w@host/x"), "https://******@host/x");
  EXPECT_EQ(scrubbed("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(scrubbed("https://host/x?a"), "https://host/x?a");
  EXPECT_EQ(scrubbed("/dev/sda"), "/dev/sda");
  EXPECT_EQ(scrubbed(""), "");
  EXPECT_EQ(scrubbed("http://a:b@"), "http://***@");
  // Unescaped separators in a password: wrong, but no reason to show it.
  EXPECT_EQ(scrubbed("http://me:se/cret@host/x").find("cret"), std::string::npos);
}

TEST(Secrets, AreRedactedInText) {
  const std::string text = redact_text("got '--url=https://me:pw@host/x?k=v', and http://b/ too");
  EXPECT_EQ(text.find("pw"), std::string::npos) << text;
  EXPECT_EQ(text.find("k=v"), std::string::npos) << text;
  EXPECT_NE(text.find("http://b/ too"), std::string::npos) << text;
  EXPECT_NE(text.find("got '--url=https://"), std::string::npos) << text;
  EXPECT_EQ(redact_text("no URL here: a=b"), "no URL here: a=b");
}

TEST(Secrets, AreReadFromTheFirstLine) {
  const test::TempDir dir;
  const auto with = [&dir](const std::string& content) {
    std::ofstream(dir.path("secret"), std::ios::binary) << content;
    return read_secret(dir.path("secret"), "--password-file");
  };
  EXPECT_EQ(with("hunter2\n").value(), "hunter2");
  EXPECT_EQ(with("hunter2").value(), "hunter2");
  EXPECT_EQ(with(" with space \r\nmore\n").value(), " with space ");
  EXPECT_EQ(with(std::string(4096, 'x')).value().size(), 4096U);
  for (const std::string& wrong : {std::string(), std::string("\nsecond"), std::string(4097, 'x'),
                                   std::string("a\tb\n"), std::string("a\0b", 3)}) {
    const auto secret = with(wrong);
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code(), Errc::usage_option);
    EXPECT_NE(secret.error().message().find("--password-file"), std::string::npos);
  }
  EXPECT_FALSE(read_secret(dir.path("missing"), "--password-file"));
}

TEST(Text, ForTerminalsHoldsNoControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\nc\x7f"), "a?[31mb c?");
  EXPECT_EQ(printable("grün"), "grün");
}

}  // namespace
}  // namespace ingot::agent
