// OSImage manifests: what is taken from them, and every way in which they can be wrong.
#include "agent/osimage/os_image.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agent/text/yaml_document.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kGood = R"(apiVersion: management.loft.sh/v1
kind: OSImage
metadata:
  name: ubuntu
  labels: {a: "b"}
spec:
  displayName: Ubuntu
  description: |
    Several
    lines
  owner: {user: somebody}
  access: [{users: ["*"], verbs: [get]}]
  properties:
    metal3.vcluster.com/image-url: https://example.org/a.img
    metal3.vcluster.com/image-checksum: "d41d8cd98f00b204e9800998ecf8427e"
    metal3.vcluster.com/image-checksum-type: md5
    something.else: 'passed over'
)";

std::string changed(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_refused(const std::string& text, const std::string& part) {
  const auto image = parse_os_image(text, "m.yaml");
  ASSERT_FALSE(image) << text;
  EXPECT_EQ(image.error().code(), Errc::usage_manifest);
  EXPECT_EQ(image.error().message().rfind("m.yaml:", 0), 0U) << image.error().message();
  EXPECT_NE(image.error().message().find(part), std::string::npos)
      << image.error().message() << "\nwanted: " << part;
}

TEST(OsImage, IsRead) {
  const auto image = parse_os_image(kGood, "m.yaml");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->name, "ubuntu");
  EXPECT_EQ(image->url, "https://example.org/a.img");
  EXPECT_EQ(image->checksum.value_or_url, "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(image->checksum.type, DigestType::md5);
}

TEST(OsImage, MayBeJson) {
  const auto image = parse_os_image(
      "{\n\t\"apiVersion\": \"management.loft.sh/v1\", \"kind\": \"OSImage\",\n"
      "\t\"metadata\": {\"name\": \"n\\u00e4me\"}, \"spec\": {\"properties\": {\n"
      "\t\t\"metal3.vcluster.com/image-url\": \"https:\\/\\/example.org\\/a.img\"}}}\n",
      "m.json");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->name, "n\u00e4me");
  EXPECT_EQ(image->url, "https://example.org/a.img");
  EXPECT_EQ(image->checksum.value_or_url, "");
}

TEST(OsImage, MayHaveDocumentMarkersAndComments) {
  EXPECT_TRUE(parse_os_image("# first\n---\n" + std::string(kGood) + "...\n# last\n", "m.yaml"));
  EXPECT_TRUE(parse_os_image(std::string(kGood) + "...\n", "m.yaml"));
  EXPECT_TRUE(parse_os_image(std::string(kGood) + "...", "m.yaml"));
  EXPECT_TRUE(parse_os_image(std::string(kGood) + "# no line end", "m.yaml"));
}

TEST(OsImage, ChecksumMayBeAUrlOrMissing) {
  EXPECT_EQ(parse_os_image(changed("\"d41d8cd98f00b204e9800998ecf8427e\"", "https://e.org/SUMS"),
                           "m.yaml")
                .value()
                .checksum.value_or_url,
            "https://e.org/SUMS");
  EXPECT_FALSE(parse_os_image(changed("type: md5", "type: auto"), "m.yaml").value().checksum.type);
}

TEST(OsImage, ChecksumMayHaveItsTypeInFront) {
  const std::string md5 = "d41d8cd98f00b204e9800998ecf8427e";
  EXPECT_EQ(parse_os_image(changed(md5, "md5:" + md5), "m.yaml").value().checksum.value_or_url,
            "md5:" + md5);
  expect_refused(changed(md5, "sha256:" + md5), "m.yaml:15:");
  expect_refused(changed(md5, "sha256:" + std::string(64, 'a')), "given as md5");
  expect_refused(changed(md5, "sha1:" + md5), "not supported");
}

TEST(OsImage, WrongFieldsAreNamedWithTheirLine) {
  expect_refused(changed("management.loft.sh/v1", "v1"), "m.yaml:1: apiVersion: 'v1'");
  expect_refused(changed("kind: OSImage", "kind: Pod"), "m.yaml:2: kind: 'Pod'");
  expect_refused(changed("kind: OSImage\n", ""), "kind: missing");
  expect_refused(changed("kind: OSImage", "kind: [OSImage]"), "m.yaml:2: kind: a string is wanted");
  expect_refused(changed("  name: ubuntu\n", ""), "metadata.name: missing");
  expect_refused(changed("name: ubuntu", "name: 12"), "m.yaml:4: metadata.name: a string");
  expect_refused(changed("name: ubuntu", "name: ''"), "m.yaml:4: metadata.name: empty");
  expect_refused(changed("  properties:", "  other:"), "spec.properties: missing");
  expect_refused(changed("https://example.org/a.img", "''"),
                 "m.yaml:14: spec.properties[metal3.vcluster.com/image-url]: empty");
  expect_refused(changed("https://example.org/a.img", "ftp://example.org/a"), "not an http");
  expect_refused(changed("https://example.org/a.img", "\"https://example.org/a b\""),
                 "not an http");
  expect_refused(changed("    metal3.vcluster.com/image-url: https://example.org/a.img\n", ""),
                 "spec.properties[metal3.vcluster.com/image-url]: missing");
  expect_refused(changed("type: md5", "type: crc32"), "m.yaml:16:");
  expect_refused(changed("type: md5", "type: ''"), "m.yaml:16:");
  expect_refused(changed("type: md5", "type: sha256"), "m.yaml:15:");
  expect_refused(changed("\"d41d8cd98f00b204e9800998ecf8427e\"", "xyz"), "m.yaml:15:");
  expect_refused(changed("\"d41d8cd98f00b204e9800998ecf8427e\"", "''"), "m.yaml:15:");
  expect_refused(
      changed("    metal3.vcluster.com/image-checksum: \"d41d8cd98f00b204e9800998ecf8427e\"\n", ""),
      "given without a checksum");
  expect_refused("- a\n- b\n", "a map is wanted, a list is there");
  expect_refused("just text\n", "a map is wanted");
}

TEST(OsImage, PropertiesAreStrings) {
  for (const char* value : {"12", "1.5", "true", "null", "~", "", "1e5", "0x1f", "[a]", "{a: b}",
                            ".inf", "12345678901234567890123456789012"})
    expect_refused(changed("'passed over'", value),
                   "m.yaml:17: spec.properties[something.else]: a string is wanted");
  for (const char* value : {"\"12\"", "'true'", "yes", "1.2.3", "0b1", "!!str 12", "12ab"})
    EXPECT_TRUE(parse_os_image(changed("'passed over'", value), "m.yaml")) << value;
}

TEST(OsImage, ExactlyOneDocument) {
  expect_refused("", "no document");
  expect_refused("# nothing\n", "");
  expect_refused(std::string(kGood) + "---\n" + std::string(kGood), "second document");
}

TEST(OsImage, BrokenYamlIsRefusedWithItsLine) {
  expect_refused("a: b\n  c: d: e\n", "line 2");
  expect_refused("a: \"never ends\n", "line");
  expect_refused("a: 'never ends", "line");
  expect_refused("{\"a\": ", "line");
  expect_refused(changed("kind: OSImage", "kind: OSImage\nkind: Pod"),
                 "the key 'kind' is there twice");
  expect_refused(changed("kind: OSImage", "? [a, b]\n: c"), "a key that is not a string");
  expect_refused(changed("kind: OSImage", "kind: &a OSImage\nother: *a"), "anchors");
  expect_refused(std::string("a: b\nc: \0d\n", 11), "line 2: a NUL byte");
}

TEST(OsImage, HostileYamlIsBounded) {
  expect_refused(std::string(kMaxYamlSize + 1, 'a'), "1 MiB");
  expect_refused(std::string(200'000, '['), "nested deeper");
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  expect_refused(deep, "nested deeper");
  std::string wide = "a: [";
  for (int i = 0; i < 100'000; ++i) wide += "1,";
  expect_refused(wide + "1]", "more than 10000 values");
  // The billion laughs.
  std::string bomb = "a: &a [x, x]\n";
  for (char c = 'b'; c < 'z'; ++c)
    bomb += std::string(1, c) + ": &" + c + " [*" + static_cast<char>(c - 1) + ", *" +
            static_cast<char>(c - 1) + "]\n";
  expect_refused(bomb, "anchors");
}

TEST(OsImage, IsLoadedFromAFile) {
  const test::TempDir dir;
  std::ofstream(dir.path("m.yaml")) << kGood;
  EXPECT_TRUE(load_os_image(dir.path("m.yaml")));
  EXPECT_EQ(load_os_image(dir.path("none.yaml")).error().code(), Errc::usage_manifest);
  EXPECT_EQ(load_os_image(dir.path(".")).error().code(), Errc::usage_manifest);
  const auto endless = load_os_image("/dev/zero");
  ASSERT_FALSE(endless);
  EXPECT_NE(endless.error().message().find("1 MiB"), std::string::npos);
}

TEST(OsImage, TheExamplesAreGood) {
  const auto folder = std::filesystem::path(INGOT_SOURCE_DIR) / "examples";
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("osimage-")) continue;
    ++found;
    const auto image = load_os_image(entry.path().string());
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_FALSE(image->checksum.value_or_url.empty()) << entry.path();
  }
  EXPECT_GE(found, 2);
}

}  // namespace
}  // namespace ingot::agent
