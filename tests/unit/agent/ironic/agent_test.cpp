#include "agent/ironic/agent.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stop_token>
#include <string>

namespace ingot::agent {
namespace {

// Whoever forgot the URL need not wait for disks and network interfaces to be told so.
TEST(Agent, WithoutAnApiItEndsBeforeItWaitsForHardware) {
  AgentOptions options;
  options.only_disks = {"/dev/there-is-no-such-disk"};
  options.power = PowerMode::exit;
  const auto begun = std::chrono::steady_clock::now();
  const auto ended = run_agent(options, std::stop_token());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code(), Errc::usage_option);
  EXPECT_NE(ended.error().message().find("no URL of Ironic's API"), std::string::npos)
      << ended.error().message();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15))
      << "ten looks for a disk take half a minute";
}

}  // namespace
}  // namespace ingot::agent
