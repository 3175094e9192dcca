// What a restarted agent needs, and what of it is not believed.
#include "agent/ironic/identity_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

const SavedToken kToken{"1be26c0b-03f2-4d2e-ae87-c02d7f33c123", "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4"};

class Identity : public testing::Test {
 protected:
  static unsigned mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  }
  void save_all() const {
    ASSERT_TRUE(store_.save(kToken));
    ASSERT_TRUE(store_.save(TlsIdentity{"KEY", "CERTIFICATE"}));
  }

  const test::TempDir dir_;
  const std::string run_ = dir_.path("run");
  const IdentityStore store_{run_};
};

TEST_F(Identity, NothingAtFirst) {
  EXPECT_FALSE(store_.token());
  EXPECT_FALSE(store_.tls());
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(Identity, ARestartedAgentIsTheSame) {
  save_all();
  const IdentityStore restarted(run_);
  const auto token = restarted.token();
  ASSERT_TRUE(token);
  EXPECT_EQ(token->node_uuid, kToken.node_uuid);
  EXPECT_EQ(token->token, kToken.token);
  const auto tls = restarted.tls();
  ASSERT_TRUE(tls);
  EXPECT_EQ(tls->private_key, "KEY");
  EXPECT_EQ(tls->certificate, "CERTIFICATE");
}

TEST_F(Identity, ARestartedAgentKnowsWhatItDid) {
  const CommandRecord done{"id-1", "execute_deploy_step", CommandStatus::succeeded, std::nullopt,
                           R"({"deploy_result":{"result":"x"}})"};
  ASSERT_TRUE(store_.save(done));
  auto known = store_.command();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->id, "id-1");
  EXPECT_EQ(known->name, "execute_deploy_step");
  EXPECT_EQ(known->status, CommandStatus::succeeded);
  EXPECT_EQ(known->result, done.result);
  EXPECT_FALSE(known->error);

  CommandRecord failed = done;
  failed.status = CommandStatus::failed;
  failed.error = failure("ImageChecksumError", "it is another image");
  failed.result = "null";
  ASSERT_TRUE(store_.save(failed));
  known = store_.command();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->status, CommandStatus::failed);
  EXPECT_EQ(known->error, failed.error);

  store_.forget_command();
  EXPECT_FALSE(store_.command());
}

// The conductor takes an agent without commands for one that has just booted, and goes on with the
// next step, as if the interrupted one were done.
TEST_F(Identity, WhatRanWhenTheAgentEndedHasFailed) {
  ASSERT_TRUE(store_.save(
      CommandRecord{"id-2", "execute_clean_step", CommandStatus::running, std::nullopt, "null"}));
  const auto known = store_.command();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->status, CommandStatus::failed);
  ASSERT_TRUE(known->error);
  EXPECT_EQ(known->error->type, "CommandExecutionError");
  EXPECT_NE(known->error->details.find("execute_clean_step"), std::string::npos);
  EXPECT_EQ(known->result, "null");
}

TEST_F(Identity, ModesWhateverTheUmask) {
  const auto before = ::umask(0);
  save_all();
  ::umask(before);
  EXPECT_EQ(mode(run_), 0700U);
  for (const auto* name : {"agent.json", "agent.key", "agent.crt"}) {
    EXPECT_EQ(mode(run_ + "/" + name), 0600U) << name;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(run_), fs::directory_iterator()), 3);
}

TEST_F(Identity, TheNewestCounts) {
  save_all();
  SavedToken newer = kToken;
  newer.token = "another-token-of-forty-three-characters-xyz";
  ASSERT_TRUE(store_.save(newer));
  ASSERT_TRUE(store_.save(TlsIdentity{"KEY 2", "CERTIFICATE 2"}));
  EXPECT_EQ(store_.token().value().token, newer.token);
  EXPECT_EQ(store_.tls().value().private_key, "KEY 2");
}

TEST_F(Identity, WhatOthersMayReadIsNotBelieved) {
  for (const mode_t open : {0640U, 0604U, 0660U, 0666U}) {
    save_all();
    ASSERT_EQ(::chmod((run_ + "/agent.json").c_str(), open), 0);
    EXPECT_FALSE(store_.token()) << open;
    ASSERT_EQ(::chmod((run_ + "/agent.key").c_str(), open), 0);
    EXPECT_FALSE(store_.tls()) << open;
  }
}

TEST_F(Identity, WhatBelongsToSomebodyElseIsNotBelieved) {
  save_all();
  ASSERT_EQ(::geteuid(), 0U) << "needs root";
  ASSERT_EQ(::chown((run_ + "/agent.json").c_str(), 12345, 12345), 0);
  ASSERT_EQ(::chown((run_ + "/agent.crt").c_str(), 12345, 12345), 0);
  EXPECT_FALSE(store_.token());
  EXPECT_FALSE(store_.tls());
  // And it is replaced, not written to.
  save_all();
  EXPECT_TRUE(store_.token());
  EXPECT_TRUE(store_.tls());
}

TEST_F(Identity, LinksAreNotFollowed) {
  save_all();
  fs::rename(run_ + "/agent.json", dir_.path("elsewhere"));
  fs::create_symlink(dir_.path("elsewhere"), run_ + "/agent.json");
  EXPECT_FALSE(store_.token());
  // A draft that somebody prepared as a link leads nowhere.
  fs::create_symlink(dir_.path("victim"), run_ + "/agent.json.new");
  ASSERT_TRUE(store_.save(kToken));
  EXPECT_FALSE(fs::exists(dir_.path("victim")));
  EXPECT_TRUE(store_.token());
}

TEST_F(Identity, BrokenFilesCountAsAbsent) {
  save_all();
  for (const auto* text : {"", "{", "[]", "{}", R"({"node_uuid": "x"})", R"({"token": "x"})",
                           R"({"node_uuid": 1, "token": 2})"}) {
    std::ofstream(run_ + "/agent.json") << text;
    EXPECT_FALSE(store_.token()) << text;
  }
  std::ofstream(run_ + "/agent.crt").close();
  EXPECT_FALSE(store_.tls());
  fs::remove(run_ + "/agent.crt");
  EXPECT_FALSE(store_.tls());
  fs::remove(run_ + "/agent.json");
  fs::create_directory(run_ + "/agent.json");
  EXPECT_FALSE(store_.token());
}

TEST_F(Identity, AnUnwritableDirectoryIsToldWithoutTheSecret) {
  std::ofstream(run_) << "a file";
  const auto saved = store_.save(kToken);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), Errc::usage_option);
  EXPECT_EQ(saved.error().message().find(kToken.token), std::string::npos);
  EXPECT_FALSE(store_.save(TlsIdentity{"KEY", "CERTIFICATE"}));
}

TEST_F(Identity, FilesOfSomebodyElse) {
  std::ofstream(dir_.path("crt")) << "CERTIFICATE";
  std::ofstream(dir_.path("key")) << "KEY";
  const auto identity = read_tls_identity(dir_.path("crt"), dir_.path("key"));
  ASSERT_TRUE(identity) << identity.error().message();
  EXPECT_EQ(identity->certificate, "CERTIFICATE");
  EXPECT_EQ(identity->private_key, "KEY");
  std::ofstream(dir_.path("empty")).close();
  const std::string good = dir_.path("crt");
  for (const std::string& bad : {dir_.path("none"), dir_.path("empty"), std::string()})
    for (const auto& [crt, key] : {std::pair(bad, good), std::pair(good, bad)}) {
      const auto refused = read_tls_identity(crt, key);
      ASSERT_FALSE(refused) << crt << ", " << key;
      EXPECT_EQ(refused.error().code(), Errc::usage_option);
    }
}

}  // namespace
}  // namespace ingot::agent
