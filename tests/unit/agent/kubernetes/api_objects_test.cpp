// What an API server answers, as far as it is looked at: lists, events, Status objects, and what is
// none of them.
#include "agent/kubernetes/api_objects.hpp"

#include <gtest/gtest.h>

#include <string>

#include "agent/kubernetes/decoding.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kImage =
    R"("spec":{"properties":{"metal3.vcluster.com/image-url":"https://a.example/\u00e9\"x"}})";

TEST(ApiObjects, ItemsOfAListBecomeWholeObjects) {
  const auto page = read_api_page(
      R"({"kind":"OSImageList","apiVersion":"management.loft.sh/v1",
          "metadata":{"resourceVersion":"7","continue":"next=="},
          "items":[{"metadata":{"name":"a","resourceVersion":"5","managedFields":[{"f:x":{}}]},)" +
      std::string(kImage) + R"(},{"kind":"Other","metadata":{"name":"b"}},{"metadata":7}]})");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->next, "next==");
  EXPECT_EQ(page->version, "7");
  ASSERT_EQ(page->objects.size(), 3U);
  EXPECT_EQ(page->objects[0].name, "a");
  EXPECT_EQ(page->objects[0].version, "5");
  EXPECT_EQ(page->objects[0].json.find("managedFields"), std::string::npos);
  const auto image = decode_os_image(page->objects[0], "https://s", {});
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->url, "https://a.example/\xc3\xa9\"x");
  const auto other = decode_os_image(page->objects[1], "https://s", {});
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message().find("https://s osimages/b:1: kind"), std::string::npos)
      << other.error().message();
  EXPECT_EQ(page->objects[2].name, "");
  EXPECT_FALSE(decode_os_image(page->objects[2], "https://s", {}));
}

TEST(ApiObjects, AnObjectIsNotSeveral) {
  const auto object = read_api_object(
      R"({"apiVersion":"v1","kind":"List","metadata":{"name":"a"},"items":[
          {"apiVersion":"management.loft.sh/v1","kind":"OSImage","metadata":{"name":"b"},)" +
      std::string(kImage) + "}]}");
  ASSERT_TRUE(object);
  EXPECT_FALSE(decode_os_image(*object, "https://s", {}));
}

TEST(ApiObjects, EmptyListsAreLists) {
  for (const auto* items : {"[]", "null"}) {
    const auto page =
        read_api_page(R"({"kind":"OSImageList","metadata":{},"items":)" + std::string(items) + "}");
    ASSERT_TRUE(page) << items;
    EXPECT_TRUE(page->objects.empty());
  }
  for (const auto* other :
       {"", "[]", "<html>", R"({"kind":"OSImageList","items":[]})",
        R"({"kind":"Status","items":[]})", R"({"kind":"OSImageList","metadata":{},"items":7})",
        R"({"kind":"OSImageList","metadata":{},"items":[7]})",
        R"({"kind":"OSImageList","metadata":{})"})
    EXPECT_FALSE(read_api_page(other)) << other;
}

TEST(ApiObjects, WordsOfAStatusAreFitForATerminal) {
  const auto status = read_api_status(
      R"({"kind":"Status","code":404,"reason":"NotFound","message":"\u001b[31m\nred",)"
      R"("details":{"name":"a"}})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 404);
  EXPECT_EQ(status->object, "a");
  EXPECT_EQ(status->message, "?[31m red");
  const auto longer =
      read_api_status(R"({"kind":"Status","message":")" + std::string(9999, 'x') + "\"}");
  ASSERT_TRUE(longer);
  EXPECT_LT(longer->message.size(), 600U);
  EXPECT_FALSE(read_api_status(R"({"kind":"OSImage"})"));
}

TEST(ApiObjects, EventsOfAWatch) {
  const auto type = [](const std::string& word) {
    const auto event =
        read_api_event(R"({"type":")" + word +
                       R"(","object":{"metadata":{"name":"a","resourceVersion":"9"},)"
                       R"("code":410,"reason":"Expired"}})");
    return event ? std::to_string(static_cast<int>(event->type)) + event->object.version +
                       event->status.reason
                 : "none";
  };
  EXPECT_EQ(type("ADDED"), "09");
  EXPECT_EQ(type("MODIFIED"), "19");
  EXPECT_EQ(type("DELETED"), "29");
  EXPECT_EQ(type("BOOKMARK"), "39");
  EXPECT_EQ(type("ERROR"), "4Expired");
  EXPECT_EQ(type("OTHER"), "none");
  EXPECT_FALSE(read_api_event(R"({"type":"ADDED"})"));
  EXPECT_FALSE(read_api_event(R"({"type":"ADDED","object":[]})"));
  EXPECT_FALSE(read_api_event("{"));
}

TEST(ApiObjects, NamesThatAnObjectCanHave) {
  for (const auto* good : {"a", "ubuntu-24.04", "0"}) EXPECT_TRUE(is_object_name(good)) << good;
  for (const std::string& bad :
       {std::string(), std::string("A"), std::string("a/b"), std::string(".."), std::string("-a"),
        std::string("a-"), std::string("a?"), std::string("a\nb"), std::string(254, 'a')})
    EXPECT_FALSE(is_object_name(bad)) << bad;
}

}  // namespace
}  // namespace ingot::agent
