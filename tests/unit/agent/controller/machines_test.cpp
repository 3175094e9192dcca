// Who is who: machines' manifests, what a machine says of itself, and tokens.
#include "agent/controller/machines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "agent/controller/controller_command.hpp"
#include "agent/controller/site.hpp"
#include "agent/controller/tokens.hpp"
#include "tests/unit/agent/controller/controller_rig.hpp"

namespace ingot::agent {
namespace {

using test::Directory;
using test::machine_manifest;
using testing::AllOf;
using testing::HasSubstr;

const std::string kHost =
    "apiVersion: metal3.io/v1alpha1\nkind: BareMetalHost\nmetadata: {name: bmh-2}\n"
    "spec: {bootMACAddress: '52:54:00:00:00:0B', rootDeviceHints: {serialNumber: S2}}\n";

std::string refused(const Directory& dir) {
  const auto loaded = load_machines(dir / "", {});
  EXPECT_FALSE(loaded);
  return loaded ? "" : loaded.error().message() + " / " + loaded.error().advice();
}

TEST(Machines, AreFoundByWhateverTheyHave) {
  const Directory dir;
  dir.write("a.yaml", machine_manifest("node-1",
                                       "    ingot.io/mac-addresses: 52:54:00:00:00:0a, "
                                       "52-54-00-00-00-1A\n"
                                       "    ingot.io/system-uuid: 4C4C4544-0000-4000-8000-1\n"
                                       "    ingot.io/serial-number: SN1\n"));
  dir.write("b.yaml", machine_manifest("node-2", "    metal3.vcluster.com/server-name: bmh-2\n") +
                          "---\n" + kHost);
  dir.write(".hidden.yaml", "no manifest");
  dir.write("notes.txt", "no manifest");
  std::vector<std::string> warnings;
  const auto all =
      load_machines(dir / "", [&](const std::string& text) { warnings.push_back(text); });
  ASSERT_TRUE(all) << all.error().message();
  ASSERT_EQ(all->machines.size(), 2U);
  EXPECT_TRUE(warnings.empty()) << warnings.front();
  const auto who = [&all](MachineIdentity identity) {
    const auto found = match_machine(all->machines, identity);
    if (!found) return found.error().message();
    return *found == nullptr ? std::string("nobody") : (*found)->name;
  };
  EXPECT_EQ(who({.macs = {"00:00:00:00:00:01", "525400 0000"}}), "nobody");
  EXPECT_EQ(who({.macs = {"00:00:00:00:00:01", "52:54:00:00:00:1a"}}), "node-1");
  EXPECT_EQ(who({.macs = {"52540000000A"}}), "node-1");
  EXPECT_EQ(who({.macs = {"52-54-00-00-00-0b"}}), "node-2") << "its host's";
  EXPECT_EQ(who({.uuid = "4c4c4544-0000-4000-8000-1"}), "node-1");
  EXPECT_EQ(who({.serial = "SN1"}), "node-1");
  EXPECT_EQ(who({.name = "node-2"}), "node-2");
  EXPECT_EQ(who({}), "nobody");
  EXPECT_THAT(
      who({.name = "node-2", .serial = "SN1"}),
      AllOf(HasSubstr("node-1 (by its serial number SN1)"), HasSubstr("node-2 (by its name)")));
}

TEST(Machines, ThatCannotBeToldApartAreRefused) {
  {
    const Directory dir;
    dir.write("a.yaml", machine_manifest("node-1", "    ingot.io/serial-number: SN1\n"));
    dir.write("b.yaml", machine_manifest("node-2", "    ingot.io/serial-number: SN1\n"));
    EXPECT_THAT(refused(dir), AllOf(HasSubstr("b.yaml"), HasSubstr("a.yaml"),
                                    HasSubstr("both have the serial number SN1")));
  }
  {
    const Directory dir;
    dir.write("a.yaml", machine_manifest("node-1", ""));
    dir.write("b.yaml", machine_manifest("node-1", ""));
    EXPECT_THAT(refused(dir), AllOf(HasSubstr("b.yaml:1"), HasSubstr("a.yaml:1")));
  }
  {
    const Directory dir;
    dir.write("a.yaml", machine_manifest("Node_1", ""));
    EXPECT_THAT(refused(dir), HasSubstr("no DNS name"));
  }
  {
    const Directory dir;
    dir.write("a.yaml", machine_manifest("node-1", "    ingot.io/mac-addresses: 52:54\n"));
    EXPECT_THAT(refused(dir), AllOf(HasSubstr("a.yaml:8"), HasSubstr("ingot.io/mac-addresses")));
  }
  {
    const Directory dir;
    dir.write("a.yaml", machine_manifest("node-1", "    ingot.io/reinstall: 'yes'\n"));
    EXPECT_THAT(refused(dir), HasSubstr("always"));
  }
  EXPECT_THAT(load_machines("/nonexistent", {}).error().message(), HasSubstr("/nonexistent"));
}

TEST(Site, ResolvesEveryMachineAndSaysWhichItCannot) {
  const Directory dir;
  dir.write("c/noble.yaml", test::kNoble);
  dir.write("m/a.yaml", machine_manifest("node-1", "    ingot.io/serial-number: SN1\n"));
  dir.write("m/b.yaml",
            "apiVersion: management.loft.sh/v1\nkind: Machine\nmetadata: {name: node-2}\n"
            "spec: {properties: {vcluster.com/os-image: nobel}}\n");
  const auto site =
      load_site({.catalog = open_live_catalog(dir / "c", {}, {}).value(), .machines = dir / "m"});
  ASSERT_TRUE(site) << site.error().message();
  const Plan& good = (*site)->plans.at("node-1");
  ASSERT_TRUE(good.request) << good.request.error().message();
  EXPECT_EQ(good.request->os_image, "noble");
  EXPECT_EQ(good.request->device, "/dev/sda");
  const Plan& bad = (*site)->plans.at("node-2");
  ASSERT_FALSE(bad.request);
  EXPECT_THAT(bad.request.error().message() + bad.request.error().advice(), HasSubstr("noble"))
      << "the nearest name is offered";
  // The tag is the request's. With another program it must be the same still: where it differs
  // every machine that asks is installed again, which nobody ordered.
  EXPECT_EQ(good.tag, "f519440ab652c6a2896e1fcb446e521c");
  const auto again =
      load_site({.catalog = open_live_catalog(dir / "c", {}, {}).value(), .machines = dir / "m"});
  EXPECT_EQ((*again)->plans.at("node-1").tag, good.tag);
  dir.write("m/a.yaml", machine_manifest("node-1", "    ingot.io/on-success: poweroff\n"));
  const auto other =
      load_site({.catalog = open_live_catalog(dir / "c", {}, {}).value(), .machines = dir / "m"});
  EXPECT_NE((*other)->plans.at("node-1").tag, good.tag);
}

TEST(Site, TheLastGoodStateStays) {
  using namespace std::chrono_literals;
  const Directory dir;
  dir.write("c/noble.yaml", test::kNoble);
  dir.write("m/a.yaml", machine_manifest("node-1", ""));
  const auto live = LiveSite::open({.catalog = open_live_catalog(dir / "c", {}, {}).value(),
                                    .machines = dir / "m",
                                    .look_every = 10ms},
                                   [](const Site&) -> Result<void> { return {}; });
  ASSERT_TRUE(live) << live.error().message();
  const auto reach = [&live](const auto& condition) {
    for (int i = 0; i < 1000 && !condition((*live)->view()); ++i) std::this_thread::sleep_for(10ms);
    return condition((*live)->view());
  };
  dir.write("m/b.yaml", "kind: [");
  ASSERT_TRUE(reach([](const auto& view) { return !view.problem.empty(); }));
  EXPECT_THAT((*live)->view().problem, HasSubstr("b.yaml"));
  EXPECT_NE((*live)->view().site->find("node-1"), nullptr);
  dir.write("m/b.yaml", machine_manifest("node-2", ""));
  ASSERT_TRUE(reach([](const auto& view) { return view.site->find("node-2") != nullptr; }));
  EXPECT_EQ((*live)->view().problem, "");
}

TEST(Tokens, AreTheMachinesAndThePages) {
  const Directory dir;
  const std::string machines =
      dir.write("machines", "# ours\n\nnode-1 0123456789abcdef\n  node-2\tfedcba9876543210  \n");
  const std::string page = dir.write("page", "page-token-page-token\n");
  const auto tokens = Tokens::load(machines, page);
  ASSERT_TRUE(tokens) << tokens.error().message();
  EXPECT_TRUE(tokens->is_machines("Bearer 0123456789abcdef", "node-1"));
  EXPECT_TRUE(tokens->is_machines("bearer  0123456789abcdef", "node-1"));
  EXPECT_TRUE(tokens->is_machines("Bearer fedcba9876543210", "node-2"));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef",
                            "Bearer fedcba9876543210", "Bearer 0123456789abcdef0",
                            "Bearer 0123456789abcde", "Bearer page-token-page-token"})
    EXPECT_FALSE(tokens->is_machines(wrong, "node-1")) << wrong;
  EXPECT_FALSE(tokens->is_machines("Bearer 0123456789abcdef", "node-3"));
  EXPECT_TRUE(tokens->is_some_machines("Bearer fedcba9876543210"));
  EXPECT_FALSE(tokens->is_some_machines("Bearer page-token-page-token"));
  EXPECT_TRUE(tokens->is_pages("Bearer page-token-page-token"));
  EXPECT_FALSE(tokens->is_pages("Bearer 0123456789abcdef"));
  EXPECT_EQ(tokens->machine_token("node-2"), "fedcba9876543210");
  EXPECT_TRUE(Tokens().is_pages("") && Tokens().is_machines("", "x"));
}

TEST(Tokens, FilesThatAreWrongAreRefusedWithoutTheirSecrets) {
  const Directory dir;
  const auto refused = [&dir](const std::string& text) {
    const auto tokens = Tokens::load(dir.write("t", text), "");
    EXPECT_FALSE(tokens) << text;
    return tokens ? "" : tokens.error().message() + " / " + tokens.error().advice();
  };
  EXPECT_THAT(refused("node-1 0123456789abcdef\nnode-2 topsecret\n"),
              AllOf(HasSubstr("t:2"), Not(HasSubstr("topsecret"))));
  EXPECT_THAT(refused("node-1 0123456789abcdef\nnode-1 fedcba9876543210\n"), HasSubstr("t:2"));
  EXPECT_THAT(refused("node-1 0123456789abcdef\nnode-2 0123456789abcdef\n"),
              AllOf(HasSubstr("t:2"), HasSubstr("node-1"), Not(HasSubstr("0123456789abcdef"))));
  EXPECT_THAT(Tokens::load(dir.write("m", "node-1 0123456789abcdef\n"),
                           dir.write("same", "0123456789abcdef\n"))
                  .error()
                  .message(),
              AllOf(HasSubstr("node-1"), Not(HasSubstr("0123456789abcdef"))));
  EXPECT_THAT(refused("node-1 0123456789abcdef more\n"), HasSubstr("t:1"));
  EXPECT_THAT(refused("0123456789abcdef\n"), HasSubstr("NAME TOKEN"));
  EXPECT_THAT(refused(""), HasSubstr("empty"));
  const std::string open = dir.write("open", "node-1 0123456789abcdef\n");
  std::filesystem::permissions(open, std::filesystem::perms(0644));
  EXPECT_THAT(Tokens::load(open, "").error().message(), HasSubstr("mode 644"));
  EXPECT_THAT(Tokens::load("", open).error().message(), HasSubstr("--page-token-file"));
  EXPECT_THAT(Tokens::load("", dir.write("p", "short\n")).error().message(),
              Not(HasSubstr("short\n")));
  EXPECT_FALSE(Tokens::load(dir / "none", ""));
}

TEST(ControllerCommand, IsUnderstood) {
  const auto parse = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"--catalog", "c", "--machines", "m"});
    return parse_controller_command(words);
  };
  const auto six = parse({"--listen", "[::1]:8080", "--tls-cert", "a", "--tls-key", "b"});
  ASSERT_TRUE(six) << six.error().message();
  const auto& options = std::get<ControllerOptions>(*six);
  EXPECT_EQ(options.listen_address, "::1");
  EXPECT_EQ(options.listen_port, 8080);
  EXPECT_EQ(options.tls_key_file, "b");
  for (const char* wrong : {"8080", "localhost:8080", "::1:8080", "127.0.0.1:", "127.0.0.1:70000",
                            "127.0.0.1:80x", "[::1]", ""})
    EXPECT_FALSE(parse({"--listen", wrong})) << wrong;
  EXPECT_FALSE(parse({}));
  EXPECT_FALSE(parse({"--listen", "127.0.0.1:1", "--tls-cert", "a"}));
  EXPECT_FALSE(parse({"--listen", "127.0.0.1:1", "--state", ""}));
  EXPECT_FALSE(parse({"--listen", "127.0.0.1:1", "--unknown"}));
  EXPECT_THAT(std::get<std::string>(parse_controller_command({"--help"}).value()),
              AllOf(HasSubstr("--machine-tokens"), HasSubstr("ingot.io/mac-addresses")));
  EXPECT_THAT(std::get<std::string>(parse_controller_command({"--version"}).value()),
              HasSubstr("ingot-controller "));
}

}  // namespace
}  // namespace ingot::agent
