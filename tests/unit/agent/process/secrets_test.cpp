// Secrets: out of arguments, out of messages, from files.
#include "agent/process/secrets.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

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

}  // namespace
}  // namespace ingot::agent
