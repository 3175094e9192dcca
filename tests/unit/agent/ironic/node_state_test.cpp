// What the agent knows of its node.
#include "agent/ironic/node_state.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ingot::agent {
namespace {

const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";

LookupAnswer answer(const std::string& token = {}) {
  LookupAnswer made;
  made.uuid = "1be26c0b";
  made.node = R"({"uuid":"1be26c0b"})";
  made.token = token;
  return made;
}

TEST(NodeState, NothingIsATokenWhileThereIsNone) {
  const NodeState node;
  EXPECT_EQ(node.token(), "");
  EXPECT_FALSE(node.is_token(""));
  EXPECT_FALSE(node.is_token(kToken));
}

TEST(NodeState, OnlyTheTokenIsTheToken) {
  NodeState node;
  node.adopt(answer(kToken));
  EXPECT_TRUE(node.is_token(kToken));
  for (const std::string& wrong :
       {std::string(), kToken + "x", kToken.substr(1), kToken.substr(0, kToken.size() - 1),
        std::string(kToken.size(), '*'), std::string("******"), kToken + std::string(1, '\0')})
    EXPECT_FALSE(node.is_token(wrong)) << wrong;
}

TEST(NodeState, AWithheldTokenReplacesNone) {
  NodeState node;
  node.set_token(kToken);
  LookupAnswer withheld = answer();
  withheld.token_withheld = true;
  node.adopt(withheld);
  EXPECT_EQ(node.token(), kToken);
  EXPECT_EQ(node.uuid(), "1be26c0b");
  EXPECT_EQ(node.node(), R"({"uuid":"1be26c0b"})");
  const std::string fresh(43, 'f');
  node.adopt(answer(fresh));
  EXPECT_EQ(node.token(), fresh);
}

TEST(NodeState, PolicyChangesOnlyWhereLookupSaysSo) {
  NodeState node;
  EXPECT_TRUE(node.policy().md5_allowed);
  EXPECT_EQ(node.policy().permitted_formats, (std::vector<std::string>{"raw", "gpt", "qcow2"}));
  LookupAnswer strict = answer();
  strict.md5_allowed = false;
  strict.permitted_formats = {"raw"};
  node.adopt(strict);
  node.adopt(answer());
  EXPECT_FALSE(node.policy().md5_allowed);
  EXPECT_EQ(node.policy().permitted_formats, std::vector<std::string>{"raw"});
}

TEST(NodeState, TheNewestRecordAndDiskCount) {
  NodeState node;
  EXPECT_FALSE(node.written());
  node.set_node("{}");
  node.set_node(R"({"a":1})");
  EXPECT_EQ(node.node(), R"({"a":1})");
  node.set_written({"/dev/sda", "0x00000000"});
  node.set_written({"/dev/sdb", "0x12345678"});
  EXPECT_EQ(node.written().value().device, "/dev/sdb");
  EXPECT_EQ(node.written()->root_uuid, "0x12345678");
}

TEST(NodeState, ManyThreadsAtOnce) {
  NodeState node;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&node, i] {
      for (int round = 0; round < 200; ++round) {
        node.adopt(answer(std::string(40, static_cast<char>('a' + i))));
        node.set_job(std::make_shared<JobWatch>("x"));
        const auto job = node.job();
        EXPECT_FALSE(job && job->sentence().empty());
        const std::string token = node.token();
        EXPECT_EQ(token, std::string(40, token.at(0)));
        node.set_job(nullptr);
      }
    });
  threads.clear();
  EXPECT_EQ(node.job(), nullptr);
}

}  // namespace
}  // namespace ingot::agent
