// The example of a deploy request is one.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "agent/resolution/deploy_request.hpp"

namespace ingot::agent {
namespace {

TEST(DeployRequestExample, IsRead) {
  std::ifstream file(INGOT_SOURCE_DIR "/examples/deploy-request.yaml");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto request = parse_deploy_request(text, "deploy-request.yaml");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->machine, "rack7-node3");
  EXPECT_EQ(request->urls.size(), 2U);
  EXPECT_EQ(request->checksum.type, DigestType::sha512);
  EXPECT_FALSE(request->root_device_hints.empty());
  EXPECT_EQ(request->on_success, OnSuccess::reboot);
}

}  // namespace
}  // namespace ingot::agent
