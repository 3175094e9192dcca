// JSON of strangers.
#include "agent/text/json_object.hpp"

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

TEST(JsonObject, OnlyObjectsAreTaken) {
  ASSERT_TRUE(parse_json_object(R"({"a": {"b": null}})"));
  EXPECT_TRUE(parse_json_object("{}"));
  for (const auto* text : {"", "[]", "1", "null", "\"{}\"", "{", "{} x", "{\"a\":}", "{'a':1}",
                           "{\"a\":\"\xff\"}", "<html>"})
    EXPECT_FALSE(parse_json_object(text)) << text;
}

TEST(JsonObject, DepthIsLimited) {
  EXPECT_TRUE(parse_json_object(nested(32)));
  EXPECT_FALSE(parse_json_object(nested(33)));
  EXPECT_FALSE(parse_json_object(std::string(1'000'000, '[')));
  std::string objects;
  for (int level = 0; level < 100'000; ++level) objects += R"({"a":)";
  EXPECT_FALSE(parse_json_object(objects));
}

TEST(JsonObject, AnotherTypeCountsAsAbsent) {
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

TEST(JsonObject, BooleansMayBeWords) {
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

}  // namespace
}  // namespace ingot::agent
