// Files of several objects: documents, lists, JSON; and what names the place of a mistake in them.
#include "agent/osimage/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "agent/osimage/os_image.hpp"

namespace ingot::agent {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string one(const std::string& name, const std::string& kind = "OSImage") {
  return "apiVersion: management.loft.sh/v1\nkind: " + kind + "\nmetadata: {name: " + name +
         "}\nspec:\n  properties:\n    metal3.vcluster.com/image-url: https://example.org/" + name +
         "\n";
}

void expect_refused(const std::string& text, const std::string& start) {
  const auto read = parse_manifests(text, "m.yaml");
  ASSERT_FALSE(read) << text;
  EXPECT_EQ(read.error().code(), Errc::usage_manifest);
  EXPECT_THAT(read.error().message(), StartsWith(start));
}

TEST(Manifests, ComeInSeveralDocuments) {
  const auto read = parse_manifests(
      "---\n# nothing here\n---\n" + one("a") + "---\n" + one("b", "SSHKey") + "---\n...\n",
      "m.yaml");
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].kind, "OSImage");
  EXPECT_EQ((*read)[0].name, "a");
  EXPECT_EQ((*read)[1].kind, "SSHKey");
  EXPECT_EQ((*read)[1].name, "b");
  EXPECT_EQ((*read)[1].file, "m.yaml");
  EXPECT_EQ((*read)[1].root.line, 11);
  EXPECT_TRUE(is_platforms((*read)[1]));
}

TEST(Manifests, ComeInLists) {
  const auto typed = parse_manifests(
      "apiVersion: storage.loft.sh/v1\nkind: OSImageList\nmetadata: {resourceVersion: \"7\"}\n"
      "items:\n- metadata: {name: a}\n  spec: {}\n- kind: OSImage\n  metadata: {name: b}\n",
      "m.yaml");
  ASSERT_TRUE(typed) << typed.error().message();
  ASSERT_EQ(typed->size(), 2U);
  EXPECT_EQ((*typed)[0].api_version, "storage.loft.sh/v1");
  EXPECT_EQ((*typed)[0].kind, "OSImage");
  EXPECT_EQ((*typed)[1].name, "b");
  EXPECT_TRUE(ManifestReader((*typed)[0]).must_be("OSImage"));

  const auto mixed = parse_manifests(
      R"({"apiVersion": "v1", "kind": "List", "items": [
           {"apiVersion": "management.loft.sh/v1", "kind": "OSImage", "metadata": {"name": "a"}},
           {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost", "metadata": {"name": "b"}}
         ]})",
      "m.json");
  ASSERT_TRUE(mixed) << mixed.error().message();
  ASSERT_EQ(mixed->size(), 2U);
  EXPECT_EQ((*mixed)[1].kind, "BareMetalHost");
  EXPECT_FALSE(is_platforms((*mixed)[1]));
  EXPECT_EQ((*mixed)[1].root.line, 3);
}

TEST(Manifests, WrongOnesAreRefusedWithLineAndPath) {
  expect_refused(one("a") + "---\nkind: OSImage\n", "m.yaml:8: apiVersion: missing");
  expect_refused(one("a") + "---\n- a\n", "m.yaml:8: the document: a map is wanted, a list");
  expect_refused(one("a") + "---\nb: \"never ends\n", "m.yaml: line");
  const std::string list = "apiVersion: v1\nkind: List\n";
  expect_refused(list, "m.yaml:1: items: missing");
  expect_refused(list + "items: {}\n", "m.yaml:3: items: a list is wanted, a map");
  expect_refused(list + "items: []\n", "m.yaml: a list without any item");
  expect_refused(list + "items:\n- a\n", "m.yaml:4: items[0]: a map is wanted, a string");
  expect_refused(list + "items:\n- metadata: {name: a}\n",
                 "m.yaml:4: items[0].apiVersion: missing");
  expect_refused(list + "items:\n- {apiVersion: v1, kind: List, items: []}\n",
                 "m.yaml:4: items[0]: a list inside a list");
  const std::string images = "apiVersion: management.loft.sh/v1\nkind: OSImageList\nitems:\n";
  expect_refused(images + "- metadata: {name: a}\n- spec: {}\n",
                 "m.yaml:5: items[1].metadata: missing");
  expect_refused(images + "- kind: SSHKey\n  metadata: {name: a}\n",
                 "m.yaml:4: items[0].kind: 'SSHKey' inside OSImageList");
  expect_refused("", "m.yaml: line 1: no document");
  expect_refused("---\n---\n", "m.yaml: line 1: no document");
}

TEST(Manifests, AnEmptyListIsTakenWhereItIsAnAnswer) {
  for (const char* items : {"[]", "null"}) {
    const auto none = parse_manifests(
        std::string("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": ") + items + "}",
        "answer", EmptyList::allowed);
    ASSERT_TRUE(none) << none.error().message();
    EXPECT_TRUE(none->empty());
  }
  EXPECT_FALSE(parse_manifests("", "answer", EmptyList::allowed));
}

TEST(Manifests, AKindThatOnlyEndsInListIsAnObject) {
  const auto read = parse_manifests(
      "apiVersion: example.org/v1\nkind: AllowList\nmetadata: {name: a}\n", "m.yaml");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->front().kind, "AllowList");
}

TEST(Manifests, LimitsAreForAllDocumentsTogether) {
  std::string part = "a: [";
  for (int i = 0; i < 3000; ++i) part += "1,";
  part += "1]\n---\n";
  EXPECT_TRUE(parse_yaml_documents(part + part + part));
  const auto four = parse_yaml_documents(part + part + part + part);
  ASSERT_FALSE(four);
  EXPECT_THAT(four.error().message(), HasSubstr("more than 10000 values"));
  std::string empty;
  for (int i = 0; i < 20'000; ++i) empty += "---\n";
  EXPECT_FALSE(parse_yaml_documents(empty));
  EXPECT_FALSE(parse_yaml_documents("a: &x b\n---\nc: *x\n"));
}

TEST(Manifests, WhatBeginsNoDocumentIsRefusedWithItsLine) {
  for (const char* stray : {",", ", a", "a: b\n---\n, c\n", "---\n---\n,\n"}) {
    const auto read = parse_yaml_documents(stray);
    ASSERT_FALSE(read) << stray;
    EXPECT_THAT(read.error().message(), HasSubstr("does not begin a document")) << stray;
  }
  EXPECT_TRUE(parse_yaml_documents("---\n---\n---\na: b\n"));
}

TEST(OsImageOfAFile, IsTheOnlyOne) {
  const auto beside = parse_os_image(one("key", "SSHKey") + "---\n" + one("a"), "m.yaml");
  ASSERT_TRUE(beside) << beside.error().message();
  EXPECT_EQ(beside->name, "a");
  EXPECT_EQ(beside->line, 10);
  const auto two = parse_os_image(
      R"({"apiVersion": "management.loft.sh/v1", "kind": "OSImageList", "items": [
  {"metadata": {"name": "a"}, "spec": {}},
  {"metadata": {"name": "b"}, "spec": {}}]})",
      "m.json");
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message(),
              StartsWith("m.json:3: items[1].metadata.name: 'b' is a second"));
  const auto none = parse_os_image(one("key", "SSHKey"), "m.yaml");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), StartsWith("m.yaml:2: kind: 'SSHKey' is not OSImage"));
}

TEST(OsImageOfAFile, MayBeInTheFormThatThePlatformStores) {
  std::string stored = one("a");
  stored.replace(stored.find("management"), 10, "storage");
  EXPECT_TRUE(parse_os_image(stored + "status: {}\n", "m.yaml"));
  stored.replace(stored.find("loft.sh/v1"), 10, "loft.sh/v2");
  const auto other = parse_os_image(stored, "m.yaml");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), StartsWith("m.yaml:1: apiVersion: 'storage.loft.sh/v2'"));
}

}  // namespace
}  // namespace ingot::agent
