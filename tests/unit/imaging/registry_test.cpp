// Images in registries: references, challenges, manifests.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "disk/core/url_text.hpp"
#include "imaging/registry/challenge.hpp"
#include "imaging/registry/manifest.hpp"
#include "imaging/registry/reference.hpp"

namespace ingot::imaging {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

const std::string kHex(64, 'a');
const std::string kOther(64, 'b');

// base|repository|tag|digest
std::string read(std::string_view url) {
  const auto found = parse_image_reference(url);
  if (!found) return found.error().message();
  return fmt::format("{}|{}|{}|{}", found->base, found->repository, found->tag,
                     found->digest ? found->digest->hex : "");
}

TEST(ImageReferenceTest, Parts) {
  EXPECT_EQ(read("oci://r.example/debian"), "https://r.example|debian|latest|");
  EXPECT_EQ(read("oci://r.example:5000/images/debian:12"),
            "https://r.example:5000|images/debian|12|");
  EXPECT_EQ(read("OCI://r.example/a/b_c.d--e__f@sha256:" + kHex),
            "https://r.example|a/b_c.d--e__f||" + kHex);
  EXPECT_EQ(read("oci://r.example/a:1.2-x_y@sha256:" + kHex), "https://r.example|a||" + kHex);
  EXPECT_EQ(read("oci+http://10.0.0.1:5000/a:b"), "http://10.0.0.1:5000|a|b|");
  EXPECT_EQ(read("oci://[fd00::1]:5000/a"), "https://[fd00::1]:5000|a|latest|");
  EXPECT_EQ(read("oci://registry/a"), "https://registry|a|latest|");
  EXPECT_EQ(read("oci://user:p%40ss@r.example/a:b"), "https://user:p%40ss@r.example|a|b|");
}

TEST(ImageReferenceTest, DockersShortNames) {
  EXPECT_EQ(read("docker://debian"), "https://registry-1.docker.io|library/debian|latest|");
  EXPECT_EQ(read("docker://debian:12"), "https://registry-1.docker.io|library/debian|12|");
  EXPECT_EQ(read("docker://kubevirt/fedora-disk:v1"),
            "https://registry-1.docker.io|kubevirt/fedora-disk|v1|");
  EXPECT_EQ(read("docker://docker.io/debian"),
            "https://registry-1.docker.io|library/debian|latest|");
  EXPECT_EQ(read("docker://quay.io/containerdisks/debian:12"),
            "https://quay.io|containerdisks/debian|12|");
  EXPECT_EQ(read("docker://localhost/a"), "https://localhost|a|latest|");
  EXPECT_EQ(read("docker+http://r:5000/a"), "http://r:5000|a|latest|");
}

TEST(ImageReferenceTest, WhatIsMalformedIsRefused) {
  for (const std::string& bad :
       std::initializer_list<std::string>{"http://r.example/a",
                                          "oci://",
                                          "oci://r.example",
                                          "oci://r.example/",
                                          "oci:///a",
                                          "oci://r.example/A",
                                          "oci://r.example/a//b",
                                          "oci://r.example/a/",
                                          "oci://r.example/a_",
                                          "oci://r.example/a___b",
                                          "oci://r.example/a..b",
                                          "oci://r.example/../a",
                                          "oci://r.example/a:",
                                          "oci://r.example/a:-b",
                                          "oci://r.example/a:b/c",
                                          "oci://r.example/a?x=1",
                                          "oci://r.example/a#x",
                                          "oci://r.example/a b",
                                          "oci://r.example/a@sha256:abc",
                                          "oci://r.example/a@" + kHex,
                                          "oci://r.example/a@md5:" + std::string(32, 'a'),
                                          "oci://r.example/a@sha256:" + std::string(64, 'A'),
                                          "oci://r.example:x/a",
                                          "oci://r.example?x/a",
                                          "oci://r.example/a:" + std::string(129, 't'),
                                          "oci://r.example/" + std::string(256, 'n')}) {
    const auto refused = parse_image_reference(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Errc::usage_option) << bad;
  }
  EXPECT_THAT(read("oci://user:s3cr3t@r.example/A"), Not(HasSubstr("s3cr3t")));
}

TEST(ImageReferenceTest, IsToldFromUrls) {
  EXPECT_TRUE(is_image_reference("oci://x/y"));
  EXPECT_TRUE(is_image_reference("Docker+HTTP://x/y"));
  EXPECT_FALSE(is_image_reference("https://x/oci://y"));
  EXPECT_FALSE(is_image_reference("oci:x"));
  EXPECT_TRUE(is_image_url("FILE:///x"));
  EXPECT_FALSE(is_image_url("ftp://x/y"));
  EXPECT_FALSE(is_image_url("disk.img"));
}

TEST(ChallengeTest, SchemesAndParameters) {
  const auto found = parse_challenges(
      R"(Basic realm="a, \"b\"" , Bearer realm="https://auth.example/token",service=reg,scope="repository:x:pull,push")");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].scheme, "basic");
  EXPECT_THAT(found[0].parameters, UnorderedElementsAre(Pair("realm", "a, \"b\"")));
  EXPECT_EQ(found[1].scheme, "bearer");
  EXPECT_THAT(found[1].parameters, UnorderedElementsAre(Pair("realm", "https://auth.example/token"),
                                                        Pair("service", "reg"),
                                                        Pair("scope", "repository:x:pull,push")));
}

TEST(ChallengeTest, WhatIsMalformedEndsTheList) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges("realm=x").empty());
  EXPECT_TRUE(parse_challenges("=x").empty());
  ASSERT_EQ(parse_challenges("Bearer realm=\"x").size(), 1u);
  EXPECT_TRUE(parse_challenges("Bearer realm=\"x")[0].parameters.empty());
  EXPECT_EQ(parse_challenges("Negotiate, Basic realm=x").size(), 2u);
  EXPECT_EQ(parse_challenges("Bearer \x01 realm=x").size(), 1u);
}

std::string layer(std::string_view type, std::string_view hex, int size,
                  std::string_view title = "") {
  return fmt::format(
      R"({{"mediaType":"{}","digest":"sha256:{}","size":{},"annotations":{{"org.opencontainers.image.title":"{}"}}}})",
      type, hex, size, title);
}

std::string manifest(std::string_view layers) {
  return fmt::format(R"({{"schemaVersion":2,"config":{{}},"layers":[{}]}})", layers);
}

// The digest's first letter, or why there is none.
std::string chosen_layer(std::string_view layers) {
  const auto parsed = parse_manifest(manifest(layers));
  if (!parsed) return parsed.error().message();
  const auto chosen = choose_layer(*parsed);
  return chosen ? chosen->digest.hex.substr(0, 1) : chosen.error().message();
}

TEST(ManifestTest, TheLayerThatIsTheImage) {
  const std::string a = layer("application/octet-stream", kHex, 100);
  EXPECT_EQ(chosen_layer(a), "a");
  // One that says so, though another is larger.
  EXPECT_EQ(chosen_layer(a + "," + layer("application/octet-stream", kOther, 5, "disk.qcow2")),
            "b");
  EXPECT_EQ(chosen_layer(a + "," + layer("application/octet-stream", kOther, 5, "D.RAW.zst")), "b");
  EXPECT_EQ(chosen_layer(a + "," + layer("application/vnd.example.qcow2", kOther, 5)), "b");
  // A container disk on top of something.
  const std::string tar = "application/vnd.oci.image.layer.v1.tar+gzip";
  EXPECT_EQ(chosen_layer(layer(tar, kOther, 9) + "," + layer(tar, kHex, 100)), "a");
  EXPECT_THAT(chosen_layer(layer(tar, kOther, 60) + "," + layer(tar, kHex, 100) + "," +
                           layer(tar, kOther, 60)),
              HasSubstr("none of the manifest's 3 layers"));
  EXPECT_THAT(chosen_layer(layer(tar, kOther, 5, "a.raw") + "," + layer(tar, kHex, 5, "b.raw")),
              HasSubstr("a.raw"));
  // ORAS puts an empty one where it has none.
  EXPECT_EQ(chosen_layer(a + "," + layer("application/vnd.oci.empty.v1+json", kOther, 2)), "a");
  EXPECT_THAT(chosen_layer(""), HasSubstr("no layers"));
}

std::string entry(std::string_view hex, std::string_view platform,
                  std::string_view disk_type = "") {
  return fmt::format(
      R"({{"mediaType":"m","digest":"sha256:{}","size":3,"platform":{},"annotations":{{"disktype":"{}"}}}})",
      hex, platform, disk_type);
}

std::string chosen_manifest(std::string_view entries, const Platform& wanted) {
  const auto parsed =
      parse_manifest(fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", entries));
  if (!parsed) return parsed.error().message();
  EXPECT_TRUE(parsed->is_index);
  const auto chosen = choose_manifest(*parsed, wanted);
  return chosen ? chosen->digest.hex.substr(0, 1) : chosen.error().message();
}

TEST(ManifestTest, ThePlatformsManifest) {
  const std::string amd = entry(kHex, R"({"os":"linux","architecture":"amd64"})");
  const std::string arm = entry(kOther, R"({"os":"linux","architecture":"arm","variant":"v7"})");
  const Platform linux_arm7{"linux", "arm", "v7"};
  const auto both = amd + "," + arm;
  EXPECT_EQ(chosen_manifest(both, {"linux", "amd64", ""}), "a");
  EXPECT_EQ(chosen_manifest(both, linux_arm7), "b");
  EXPECT_EQ(chosen_manifest(both, {"linux", "arm", ""}), "b");
  EXPECT_THAT(chosen_manifest(both, {"linux", "arm", "v6"}),
              HasSubstr("linux/amd64, linux/arm/v7"));
  EXPECT_THAT(chosen_manifest(both, {"windows", "amd64", ""}), HasSubstr("nothing for windows"));
  EXPECT_EQ(chosen_manifest(entry(kHex, "{}"), linux_arm7), "a");
  EXPECT_THAT(chosen_manifest("", linux_arm7), HasSubstr("no manifests"));
}

TEST(ManifestTest, OfSeveralDisksTheOneThatCanBeWritten) {
  const std::string linux_amd = R"({"os":"linux","architecture":"amd64"})";
  const Platform wanted{"linux", "amd64", ""};
  EXPECT_EQ(
      chosen_manifest(entry(kOther, linux_amd, "applehv") + "," + entry(kHex, linux_amd, "qcow2"),
                      wanted),
      "a");
  EXPECT_EQ(chosen_manifest(entry(kHex, linux_amd, "raw") + "," + entry(kOther, linux_amd, "qcow2"),
                            wanted),
            "b");
  EXPECT_THAT(chosen_manifest(entry(kHex, linux_amd) + "," + entry(kOther, linux_amd), wanted),
              HasSubstr("2 manifests for linux/amd64"));
}

TEST(ManifestTest, WhatIsHostileIsRefused) {
  const auto code = [](std::string_view text) {
    const auto parsed = parse_manifest(text);
    return parsed ? Errc::internal_bug : parsed.error().code();
  };
  for (const char* corrupt :
       {"", "[]", "{", "{}", R"({"schemaVersion":"2","layers":[]})", R"({"schemaVersion":2})",
        R"({"schemaVersion":2,"layers":{}})", R"({"schemaVersion":2,"layers":[],"manifests":[]})",
        R"({"schemaVersion":2,"layers":[1]})",
        R"({"schemaVersion":2,"layers":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]})"})
    EXPECT_EQ(code(corrupt), Errc::image_corrupt) << corrupt;
  EXPECT_EQ(code(R"({"schemaVersion":1,"fsLayers":[]})"), Errc::image_unsupported);
  EXPECT_EQ(code(R"({"schemaVersion":2,"layers":[{"digest":"sha1:aa","size":1}]})"),
            Errc::image_unsupported);
  EXPECT_EQ(code(manifest(fmt::format(R"({{"digest":"{}","size":1}})", kHex))),
            Errc::image_unsupported);  // no algorithm
  for (const char* size : {"-1", "\"1\"", "1e30", "18446744073709551615"})
    EXPECT_EQ(code(manifest(fmt::format(R"({{"digest":"sha256:{}","size":{}}})", kHex, size))),
              Errc::image_corrupt)
        << size;
}

TEST(PlatformTest, IsRead) {
  const auto arm = parse_platform("linux/arm/v7").value();
  EXPECT_EQ(arm.os + "+" + arm.architecture + "+" + arm.variant, "linux+arm+v7");
  EXPECT_EQ(parse_platform("linux/amd64").value().variant, "");
  for (const char* bad : {"", "linux", "linux/", "/amd64", "a/b/c/d", "linux/arm/"})
    EXPECT_FALSE(parse_platform(bad)) << bad;
  EXPECT_FALSE(this_platform().architecture.empty());
}

}  // namespace
}  // namespace ingot::imaging
