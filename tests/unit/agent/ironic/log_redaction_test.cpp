#include "agent/ironic/log_redaction.hpp"

#include <gtest/gtest.h>

#include "agent/text/base64.hpp"

namespace ingot::agent {
namespace {

std::string redacted_log(const std::string& text, const std::vector<std::string>& secrets = {}) {
  return redact_log(text, secrets);
}

TEST(LogRedaction, SecretsEverywhere) {
  EXPECT_EQ(redacted_log("a hunter22-xyz b hunter22-xyzhunter22-xyz", {"hunter22-xyz"}),
            "a *** b ***");
  EXPECT_EQ(redacted_log("xabcdefgh123456y", {"abcdefgh1", "gh123456"}), "x***y")
      << "of two that overlap nothing is left";
  EXPECT_EQ(redacted_log("aaaaaaaaaaaa.", {"aaaaaaaa"}), "***.") << "one that overlaps itself";
  EXPECT_EQ(redacted_log("abcdefghij abcdefgh", {"abcdefgh", "abcdefghij"}), "*** ***");
  EXPECT_EQ(redacted_log("short stays", {"short", ""}), "short stays");
  EXPECT_EQ(redacted_log("", {"hunter22-xyz"}), "");
}

TEST(LogRedaction, AgentTokens) {
  EXPECT_EQ(redacted_log("quiet ipa-agent-token=Ab_-9 x ipa-agent-token=\"b c\""),
            "quiet ipa-agent-token=*** x ipa-agent-token=\"*** c\"");
  EXPECT_EQ(redacted_log("GET /v1/commands?agent_token=abc&wait=true agent_token="),
            "GET /v1/commands?agent_token=***&wait=true agent_token=");
  EXPECT_EQ(redacted_log(R"({"agent_token": "abc", "agent_token_pregenerated": true})"),
            R"({"agent_token": "***", "agent_token_pregenerated": true})");
  EXPECT_EQ(redacted_log(R"("{\"agent_token\": \"abc\"}")"), R"("{\"agent_token\": \"***\"}")");
  EXPECT_EQ(redacted_log("{'agent_token': 'abc'}"), "{'agent_token': '***'}");
  EXPECT_EQ(redacted_log("the agent_token is secret"), "the agent_token is secret");
}

TEST(LogRedaction, ConfigDrives) {
  const std::string drive = to_base64(std::string(1000, '\x5a'));
  for (const std::string before : {"", "configdrive=", "configdrive:", "\"", "(", "\\\"", "<"})
    for (const std::string after : {"", ",", "\"", "\\\"", ")", " x", "\n"}) {
      const std::string out = redacted_log(before + drive + after);
      EXPECT_EQ(out.find(drive.substr(20, 20)), std::string::npos) << out;
      EXPECT_TRUE(out.ends_with("***" + after)) << out;
    }
  for (const std::string line_end : {"\n", "\r\n", "\\n", "\n    "}) {
    std::string wrapped = "drive: ";
    for (std::size_t at = 0; at < drive.size(); at += 76)
      wrapped += drive.substr(at, 76) + line_end;
    const std::string out = redacted_log(wrapped + "! text");
    EXPECT_TRUE(out.starts_with("drive: ***")) << out;
    EXPECT_EQ(out.find("Wlpa"), std::string::npos) << out;
    EXPECT_TRUE(out.ends_with("! text"));
  }
  EXPECT_EQ(redacted_log("drive " + drive + "\nNov 28 host x\n"), "drive ***\nNov 28 host x\n");
  const std::string checksum(128, 'a');
  EXPECT_EQ(redacted_log("sha512 " + checksum + "\n" + checksum + "."),
            "sha512 ***.");  // two lines of nothing else might be one
  EXPECT_EQ(redacted_log("sha512 " + checksum + " x\n" + checksum + "."),
            "sha512 " + checksum + " x\n" + checksum + ".");
}

TEST(LogRedaction, UrlsLoseTheirCredentials) {
  EXPECT_EQ(redacted_log("fetching https://user:pass@host/disk.raw?sig=abc now"),
            "fetching https://***@host/disk.raw?sig=*** now");
  EXPECT_EQ(redacted_log("unix:///run/x and http://host/path stay"),
            "unix:///run/x and http://host/path stay");
}

TEST(Base64, Rfc4648) {
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foo"), "Zm9v");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base64(std::string("\x00\xff\x10", 3)), "AP8Q");
  // Several pieces are one text: no padding and no line end between them.
  const std::string large = to_base64(std::string((7UL << 20) + 1, 'a'));
  EXPECT_EQ(large.size(), ((7UL << 20) + 3) / 3 * 4);
  EXPECT_EQ(large.find('='), large.size() - 2 + (((7UL << 20) + 1) % 3 == 2 ? 1U : 0U));
  EXPECT_EQ(large.substr(4UL << 20, 8), "YWFhYWFh");
}

}  // namespace
}  // namespace ingot::agent
