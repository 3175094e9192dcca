// Who may use an image, whom access is refused, and rules that are wrong.
#include "agent/osimage/access.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/osimage/os_image.hpp"

namespace ingot::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// The spec's lines begin at line 5 of the manifest.
std::string image(const std::string& spec) {
  return "apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata: {name: a}\nspec:\n" + spec +
         "  properties: {metal3.vcluster.com/image-url: \"https://example.org/a\"}\n";
}

AccessRules rules(const std::string& spec) {
  auto read = parse_os_image(image(spec), "m.yaml");
  EXPECT_TRUE(read) << read.error().message();
  return read ? read->access : AccessRules();
}

const Caller kAlice{"alice", {}};
const Caller kBob{"bob", {"research", "ops"}};
const Caller kResearch{"", {"research"}};

TEST(Access, OwnersMayDoEverything) {
  const AccessRules user = rules("  owner: {user: alice}\n");
  EXPECT_TRUE(may(user, kAlice));
  EXPECT_TRUE(may(user, kAlice, "delete"));
  EXPECT_FALSE(may(user, kBob));
  EXPECT_FALSE(may(user, kResearch));
  EXPECT_FALSE(may(user, Caller{"", {"alice"}}));
  EXPECT_EQ(who_may_grant(user), "its owner, user alice");

  const AccessRules team = rules("  owner: {team: research}\n");
  EXPECT_TRUE(may(team, kBob));
  EXPECT_TRUE(may(team, kResearch, "update"));
  EXPECT_FALSE(may(team, kAlice));
  EXPECT_FALSE(may(team, Caller{"research", {}}));
  EXPECT_EQ(who_may_grant(team), "its owner, team research");
}

TEST(Access, RulesGrantVerbsToUsersAndTeams) {
  const AccessRules some = rules(
      "  access:\n"
      "  - {name: readers, users: [alice], teams: [ops], verbs: [get]}\n"
      "  - {teams: [research], verbs: [update]}\n");
  EXPECT_TRUE(may(some, kAlice));
  EXPECT_FALSE(may(some, kAlice, "update"));
  EXPECT_TRUE(may(some, kBob));
  EXPECT_TRUE(may(some, kBob, "update"));
  EXPECT_FALSE(may(some, kResearch));
  EXPECT_TRUE(may(some, kResearch, "update"));
  EXPECT_FALSE(may(some, Caller{"carol", {"other"}}));
  EXPECT_EQ(some.rules[0].name, "readers");
  EXPECT_EQ(who_may_grant(some), "an administrator of the platform");
}

TEST(Access, AStarIsAnyOfThem) {
  const AccessRules everyone = rules("  access: [{users: [\"*\"], verbs: [get]}]\n");
  EXPECT_TRUE(may(everyone, kAlice));
  EXPECT_TRUE(may(everyone, kResearch));
  EXPECT_FALSE(may(everyone, kAlice, "delete"));
  const AccessRules any_team = rules("  access: [{teams: [\"*\"], verbs: [\"*\"]}]\n");
  EXPECT_TRUE(may(any_team, kBob, "delete"));
  EXPECT_FALSE(may(any_team, kAlice));  // of no team
}

TEST(Access, UseIsGet) {
  EXPECT_TRUE(may(rules("  access: [{users: [alice], verbs: [use]}]\n"), kAlice, "get"));
  EXPECT_TRUE(may(rules("  access: [{users: [alice], verbs: [get]}]\n"), kAlice, "use"));
  EXPECT_FALSE(may(rules("  access: [{users: [alice], verbs: [list]}]\n"), kAlice, "use"));
}

TEST(Access, RulesOfSubresourcesDoNotGrantTheObject) {
  const AccessRules logs =
      rules("  access: [{users: [\"*\"], verbs: [\"*\"], subresources: [logs, \"*\"]}]\n");
  EXPECT_FALSE(may(logs, kAlice));
  EXPECT_THAT(logs.rules[0].subresources, ElementsAre("logs", "*"));
}

TEST(Access, WithoutRulesAndOwnerItIsNobodys) {
  for (const char* spec : {"", "  owner: {}\n", "  owner:\n  access:\n", "  access: []\n",
                           "  owner: {user: \"\", team: null}\n"}) {
    EXPECT_FALSE(may(rules(spec), kAlice)) << spec;
    EXPECT_FALSE(may(rules(spec), Caller{})) << spec;
  }
}

TEST(Access, CallersAreDescribed) {
  EXPECT_EQ(describe(kAlice), "user alice");
  EXPECT_EQ(describe(kBob), "user bob of the teams research, ops");
  EXPECT_EQ(describe(kResearch), "somebody of the team research");
}

TEST(Access, WrongRulesAreRefusedWithTheirLine) {
  const auto expect_refused = [](const std::string& spec, const std::string& start) {
    const auto read = parse_os_image(image(spec), "m.yaml");
    ASSERT_FALSE(read) << spec;
    EXPECT_EQ(read.error().code(), Errc::usage_manifest);
    EXPECT_THAT(read.error().message(), StartsWith(start));
  };
  expect_refused("  owner: alice\n", "m.yaml:5: spec.owner: a map is wanted, a string");
  expect_refused("  owner: {user: 12}\n", "m.yaml:5: spec.owner.user: a string is wanted");
  expect_refused("  owner:\n    user: a\n    team: b\n", "m.yaml:6: spec.owner: both");
  expect_refused("  access: {}\n", "m.yaml:5: spec.access: a list is wanted, a map");
  expect_refused("  access:\n  - users\n", "m.yaml:6: spec.access[0]: a map is wanted");
  expect_refused("  access:\n  - verbs: [get]\n    users: [a]\n  - users: [b]\n",
                 "m.yaml:8: spec.access[1].verbs: missing");
  expect_refused("  access:\n  - users: [a]\n    verbs: []\n",
                 "m.yaml:7: spec.access[0].verbs: empty");
  expect_refused("  access:\n  - users: [a]\n    verbs: get\n",
                 "m.yaml:7: spec.access[0].verbs: a list is wanted");
  expect_refused("  access:\n  - verbs: [get]\n    users:\n    - a\n    - 7\n",
                 "m.yaml:9: spec.access[0].users[1]: a string is wanted");
  expect_refused("  access:\n  - verbs: [get]\n    teams: ['']\n",
                 "m.yaml:7: spec.access[0].teams[0]: empty");
}

TEST(OsImage, WarnsOfWhatItPassesOver) {
  std::vector<std::string> warnings;
  const auto read = parse_os_image(
      image(
          "  owner: {user: a, org: b}\n  versions: []\n  access:\n  - {verbs: [get], user: [c]}\n"),
      "m.yaml", [&](const std::string& warning) { warnings.push_back(warning); });
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_THAT(warnings, ElementsAre(StartsWith("m.yaml:5: spec.owner.org: unknown"),
                                    StartsWith("m.yaml:8: spec.access[0].user: unknown"),
                                    StartsWith("m.yaml:8: spec.access[0]: neither users nor teams"),
                                    StartsWith("m.yaml:6: spec.versions: unknown")));
}

// What stands for `properties` begins at line 6.
Result<OsImage> read(const std::string& properties) {
  const auto manifests = parse_manifests(
      "apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata: {name: a}\nspec:\n"
      "  properties:\n" +
          properties,
      "m.yaml");
  EXPECT_TRUE(manifests) << manifests.error().message();
  return read_os_image(manifests->front(), {});
}

TEST(OsImage, OfAnotherProviderSaysSo) {
  for (const auto& [properties, provider] : std::vector<std::pair<std::string, std::string>>{
           {"    kubevirt.vcluster.com/image-url: docker://example.org/a\n", "kubevirt"},
           {"    machines.vcluster.com/os-image-type: kubevirt\n", "kubevirt"},
           {"    nico.vcluster.com/os-image-id: \"7\"\n    other: a\n", "nico"},
           {"    other: a\n    machines.vcluster.com/os-image-type: mine\n", "mine"}}) {
    const auto image = read(properties);
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ(image->other_provider, provider);
    EXPECT_EQ(image->url, "");
    EXPECT_EQ(image->properties[0].line, 6);
    const auto refused = must_serve_metal3(*image);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::usage_manifest);
    EXPECT_THAT(refused.error().message(), StartsWith("m.yaml:3: OSImage 'a': "));
    EXPECT_THAT(refused.error().message(),
                HasSubstr("only the " + provider + " provider can use this image"));
  }
}

TEST(OsImage, OfSeveralProvidersIsMetal3sToo) {
  const auto image = read(
      "    machines.vcluster.com/os-image-type: kubevirt\n"
      "    kubevirt.vcluster.com/image-url: docker://example.org/a\n"
      "    kubevirt.vcluster.com/image-checksum: \"crc32:1\"\n"
      "    metal3.vcluster.com/image-url: https://example.org/a\n");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->other_provider, "");
  EXPECT_EQ(image->url, "https://example.org/a");
  EXPECT_EQ(image->properties.size(), 4U);
  EXPECT_TRUE(must_serve_metal3(*image));
}

TEST(OsImage, WithoutAUrlIsNobodys) {
  for (const char* properties :
       {"    other: a\n", "    machines.vcluster.com/os-image-type: metal3\n",
        "    machines.vcluster.com/os-image-type: custom\n", "    vcluster.com/user-data: a\n",
        "    kubevirt.vcluster.com/image-url: a\n    metal3.vcluster.com/image-checksum: b\n"}) {
    const auto image = read(properties);
    ASSERT_FALSE(image) << properties;
    EXPECT_EQ(image.error().message(),
              "m.yaml:6: spec.properties[metal3.vcluster.com/image-url]: missing");
  }
}

}  // namespace
}  // namespace ingot::agent
