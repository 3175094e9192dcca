// What of JSON may be shown.
#include "agent/ironic/masking.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace ingot::agent {
namespace {

namespace json = boost::json;

std::string shown(const std::string& text) {
  return json::serialize(masked(json::parse(text)));
}

TEST(Masking, SecretsAreMaskedAtAnyDepth) {
  for (const auto* name :
       {"configdrive", "system_logs", "user_data", "image_pull_secret", "oci_pull_secret",
        "rescue_password", "password", "ipmi_password", "image_server_password", "agent_token",
        "token", "agent_secret_token", "image_request_authorization"}) {
    const std::string text = shown(R"([{"x": {")" + std::string(name) + R"(": "S3CR3T"}}])");
    EXPECT_EQ(text.find("S3CR3T"), std::string::npos) << text;
    EXPECT_NE(text.find("***"), std::string::npos) << text;
  }
  // Whatever type it has.
  EXPECT_EQ(shown(R"({"configdrive": {"user_data": "S3CR3T"}, "password": ["S3CR3T"]})"),
            R"({"configdrive":"***","password":"***"})");
}

TEST(Masking, WhatIsNoSecretStays) {
  const std::string text =
      R"({"id":"a","n":1,"list":[true,null,"b"],"configdrive":null,"user":"admin"})";
  EXPECT_EQ(shown(text), text);
}

TEST(Masking, UrlsLoseTheirCredentials) {
  EXPECT_EQ(shown(R"({"urls": ["https://u:S3CR3T@host/image?sig=S3CR3T"]})"),
            R"({"urls":["https://***@host/image?sig=***"]})");
  EXPECT_EQ(shown(R"("http://host/image")"), R"("http://host/image")");
}

TEST(Masking, ProxiesLoseTheirCredentialsThoughTheyLackAScheme) {
  EXPECT_EQ(shown(R"({"proxies": {"http": "u:S3CR3T@proxy:3128", "https": "proxy:3128"}})"),
            R"({"proxies":{"http":"***@proxy:3128","https":"proxy:3128"}})");
  EXPECT_EQ(shown(R"({"proxies": {"https": "http://u:S3CR3T@proxy:3128"}})"),
            R"({"proxies":{"https":"http://***@proxy:3128"}})");
  EXPECT_EQ(shown(R"({"http_proxy": "u:S3CR3T@proxy:3128"})"),
            R"({"http_proxy":"***@proxy:3128"})");
}

}  // namespace
}  // namespace ingot::agent
