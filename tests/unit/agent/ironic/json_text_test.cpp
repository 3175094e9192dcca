// JSON of strangers, and what of it may be shown.
#include "agent/ironic/json_text.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace ingot::agent {
namespace {

namespace json = boost::json;

std::string nested(int depth) {
  std::string text = R"({"a":)";
  for (int level = 1; level < depth; ++level) text += '[';
  text += '1';
  for (int level = 1; level < depth; ++level) text += ']';
  return text + '}';
}

std::string shown(const std::string& text) {
  return json::serialize(masked(json::parse(text)));
}

TEST(JsonText, OnlyObjectsAreTaken) {
  ASSERT_TRUE(parse_json_object(R"({"a": {"b": null}})"));
  EXPECT_TRUE(parse_json_object("{}"));
  for (const auto* text : {"", "[]", "1", "null", "\"{}\"", "{", "{} x", "{\"a\":}", "{'a':1}",
                           "{\"a\":\"\xff\"}", "<html>"})
    EXPECT_FALSE(parse_json_object(text)) << text;
}

TEST(JsonText, DepthIsLimited) {
  EXPECT_TRUE(parse_json_object(nested(32)));
  EXPECT_FALSE(parse_json_object(nested(33)));
  EXPECT_FALSE(parse_json_object(std::string(1'000'000, '[')));
  std::string objects;
  for (int level = 0; level < 100'000; ++level) objects += R"({"a":)";
  EXPECT_FALSE(parse_json_object(objects));
}

TEST(JsonText, AnotherTypeCountsAsAbsent) {
  const auto object = parse_json_object(
      R"({"o": {"x": 1}, "s": "text", "n": 7, "big": 1e300, "half": 1.5, "null": null, "l": []})");
  ASSERT_TRUE(object);
  ASSERT_NE(object_in(*object, "o"), nullptr);
  EXPECT_EQ(integer_in(*object_in(*object, "o"), "x"), 1);
  for (const auto* name : {"s", "n", "null", "l", "none"}) {
    EXPECT_EQ(object_in(*object, name), nullptr) << name;
  }
  EXPECT_EQ(string_in(*object, "s"), "text");
  for (const auto* name : {"o", "n", "null", "l", "none"}) {
    EXPECT_EQ(string_in(*object, name), "") << name;
  }
  EXPECT_EQ(integer_in(*object, "n"), 7);
  for (const auto* name : {"o", "s", "big", "half", "null", "l", "none"}) {
    EXPECT_FALSE(integer_in(*object, name)) << name;
  }
}

TEST(JsonText, BooleansMayBeWords) {
  const auto object = parse_json_object(
      R"({"t": true, "f": false, "T": "True", "F": "False", "1": "1", "0": "0", "on": "on",
          "off": "off", "word": "maybe", "number": 1, "null": null})");
  ASSERT_TRUE(object);
  for (const auto* name : {"t", "T", "1", "on"}) EXPECT_EQ(bool_in(*object, name), true) << name;
  for (const auto* name : {"f", "F", "0", "off"}) EXPECT_EQ(bool_in(*object, name), false) << name;
  for (const auto* name : {"word", "number", "null", "none"}) {
    EXPECT_FALSE(bool_in(*object, name)) << name;
  }
}

TEST(JsonText, SecretsAreMaskedAtAnyDepth) {
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

TEST(JsonText, WhatIsNoSecretStays) {
  const std::string text =
      R"({"id":"a","n":1,"list":[true,null,"b"],"configdrive":null,"user":"admin"})";
  EXPECT_EQ(shown(text), text);
}

TEST(JsonText, UrlsLoseTheirCredentials) {
  EXPECT_EQ(shown(R"({"urls": ["https://u:S3CR3T@host/image?sig=S3CR3T"]})"),
            R"({"urls":["https://***@host/image?sig=***"]})");
  EXPECT_EQ(shown(R"("http://host/image")"), R"("http://host/image")");
}

TEST(JsonText, ProxiesLoseTheirCredentialsThoughTheyLackAScheme) {
  EXPECT_EQ(shown(R"({"proxies": {"http": "u:S3CR3T@proxy:3128", "https": "proxy:3128"}})"),
            R"({"proxies":{"http":"***@proxy:3128","https":"proxy:3128"}})");
  EXPECT_EQ(shown(R"({"proxies": {"https": "http://u:S3CR3T@proxy:3128"}})"),
            R"({"proxies":{"https":"http://***@proxy:3128"}})");
  EXPECT_EQ(shown(R"({"http_proxy": "u:S3CR3T@proxy:3128"})"),
            R"({"http_proxy":"***@proxy:3128"})");
}

}  // namespace
}  // namespace ingot::agent
