#include "agent/ironic/system_logs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "tests/unit/agent/machine/hardware_tree.hpp"

namespace ingot::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

// The members of an archive, by tar itself.
std::map<std::string, std::string> members(const std::string& archive) {
  test::TempDir dir;
  std::ofstream(dir.path("logs.tar.gz"), std::ios::binary) << archive;
  std::filesystem::create_directory(dir.path("out"));
  test::run("tar -xzf " + dir.path("logs.tar.gz") + " -C " + dir.path("out"));
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path("out"))) {
    if (!entry.is_regular_file()) continue;
    std::ostringstream content;
    content << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    found[std::filesystem::relative(entry.path(), dir.path("out")).string()] = content.str();
  }
  return found;
}

class SystemLogs : public testing::Test {
 protected:
  SystemLogs() {
    options.run = tree.path("run");
    options.proc = tree.path("proc");
    options.sysfs = tree.path("sys");
    options.var_log = tree.path("log");
  }
  std::map<std::string, std::string> collect() {
    const auto archive = collect_system_logs(options, {});
    if (!archive) {
      ADD_FAILURE() << archive.error().message();
      return {};
    }
    return members(*archive);
  }
  test::HardwareTree tree;
  SystemLogOptions options;
};

TEST_F(SystemLogs, WhatThisMachineSays) {
  options.own_log = "ingot: started\n";
  options.sysfs = "/sys";
  options.proc = "/proc";
  const auto logs = collect();
  EXPECT_EQ(logs.at("ingot.log"), "ingot: started\n");
  EXPECT_THAT(logs.at("df"), HasSubstr("Filesystem"));
  EXPECT_THAT(logs.at("ip_addr"), HasSubstr("lo: <")) << "of this network, not of an empty one";
  EXPECT_THAT(logs.at("lsblk"), HasSubstr("NAME"));
  EXPECT_THAT(logs.at("lsblk-full"), HasSubstr("\"blockdevices\""));
  EXPECT_THAT(logs.at("mount"), HasSubstr(" on / type "));
  EXPECT_THAT(logs.at("ps"), HasSubstr("PID"));
  for (const auto& [name, text] : logs)
    if (name.starts_with("udev/")) {
      EXPECT_THAT(text, HasSubstr("P: /devices")) << name;
    }
}

TEST_F(SystemLogs, LogFilesWhereSystemdDoesNotLog) {
  tree.write("log/messages", "a line\n");
  tree.write("log/app/error.log", "an error\n");
  tree.write("log/app/deeper/not.log", "too deep\n");
  tree.write("log/wtmp", std::string("a\0b", 3));
  tree.write("log/messages.1.gz", "\x1f\x8b packed");
  tree.link("log/link", "/etc/hostname");
  tree.write("proc/mdstat", "Personalities : [raid1]\n");
  const auto logs = collect();
  EXPECT_EQ(logs.at("var/log/messages"), "a line\n");
  EXPECT_EQ(logs.at("var/log/app/error.log"), "an error\n");
  EXPECT_EQ(logs.at("mdstat"), "Personalities : [raid1]\n");
  for (const char* name : {"var/log/wtmp", "var/log/messages.1.gz", "var/log/link",
                           "var/log/app/deeper/not.log", "journal", "ingot.log"})
    EXPECT_EQ(logs.count(name), 0U) << name;
}

// Where there is a journal it is there instead of the files, else the files are.
TEST_F(SystemLogs, TheJournalWithSystemd) {
  std::filesystem::create_directories(tree.path("run/systemd/system"));
  tree.write("log/messages", "a line\n");
  options.journal_lines = 10;
  const bool journal = !test::run("journalctl -b -n 1 --quiet 2>/dev/null || true").empty();
  const auto logs = collect();
  EXPECT_EQ(logs.count("journal"), journal ? 1U : 0U);
  EXPECT_EQ(logs.count("var/log/messages"), journal ? 0U : 1U);
}

TEST_F(SystemLogs, NoSecretIsInAnyMember) {
  const std::string secret = "correct-horse-battery";
  options.secrets = {secret, "short"};
  options.own_log = "token " + secret + " given, short\n" + secret + secret + "\n";
  tree.write("proc/cmdline", "quiet ipa-agent-token=abcdefg BOOTIF=x pass=" + secret + "\n");
  tree.write("log/messages", "drive " + std::string(400, 'Q') + " and " + secret + "\n");
  // A process whose command line holds it, from when it opens the pipe to read until that is
  // closed.
  const std::string pipe = tree.path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::jthread process([&] { test::run("sh -c 'read -r line <" + pipe + "; true' " + secret); });
  std::ofstream writer(pipe);
  const auto logs = collect();
  writer.close();
  EXPECT_EQ(logs.at("ingot.log"), "token *** given, short\n***\n");
  EXPECT_EQ(logs.at("cmdline"), "quiet ipa-agent-token=*** BOOTIF=x pass=***\n");
  EXPECT_EQ(logs.at("var/log/messages"), "drive *** and ***\n");
  EXPECT_THAT(logs.at("ps"), HasSubstr("/pipe; true ***"));
  for (const auto& [name, text] : logs) EXPECT_THAT(text, Not(HasSubstr(secret))) << name;
}

TEST_F(SystemLogs, LimitsLeaveWholeLinesOfTheNewest) {
  options.member_limit = 10'000;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i) + " secret-secret\n";
  tree.write("log/messages", text);
  tree.write("log/one-line", std::string(20'000, 'x'));
  options.own_log = text;
  options.secrets = {"secret-secret"};
  const auto logs = collect();
  for (const char* name : {"ingot.log", "var/log/messages"}) {
    const std::string& part = logs.at(name);
    EXPECT_LE(part.size(), 10'000U);
    EXPECT_TRUE(part.starts_with("line ")) << part.substr(0, 30);
    EXPECT_TRUE(part.ends_with("line 4999 ***\n"));
    EXPECT_THAT(part, Not(HasSubstr("secret")));
  }
  EXPECT_EQ(logs.count("var/log/one-line"), 0U) << "there is no telling what was cut";
}

TEST_F(SystemLogs, TheWholeHasALimit) {
  options.whole_limit = 25'000;
  options.own_log = std::string(9'999, 'a') + "\n";
  for (int i = 0; i < 9; ++i)
    tree.write("log/file" + std::to_string(i), std::string(9'999, '.') + "\n");
  const auto logs = collect();
  std::size_t sum = 0;
  for (const auto& [name, text] : logs)
    if (name != "not-collected") sum += text.size();
  EXPECT_LE(sum, 25'000U);
  EXPECT_EQ(logs.count("var/log/file0"), 1U);
  EXPECT_EQ(logs.count("var/log/file5"), 0U);
  EXPECT_THAT(logs.at("not-collected"), HasSubstr("lsblk: no room is left"));
}

TEST_F(SystemLogs, TheTimeIsLimited) {
  options.whole_time = std::chrono::milliseconds(0);
  options.own_log = "ingot: started\n";
  const auto logs = collect();
  EXPECT_EQ(logs.at("ingot.log"), "ingot: started\n");
  EXPECT_EQ(logs.count("df"), 0U);
  EXPECT_THAT(logs.at("not-collected"), HasSubstr("df: no time is left"));
}

TEST_F(SystemLogs, IsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto archive = collect_system_logs(options, stop.get_token());
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace ingot::agent
