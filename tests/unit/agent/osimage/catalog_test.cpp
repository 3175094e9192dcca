// Catalogs: directories of manifests, what is found in them for whom, and noticing that they
// change.
#include "agent/osimage/catalog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "agent/osimage/directory_catalog.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr std::string_view kKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

std::string image(const std::string& name, const std::string& spec = "") {
  return "apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata:\n  name: " + name +
         "\nspec:\n  properties: {metal3.vcluster.com/image-url: \"https://secret.example.org/" +
         name + "\"}\n" + spec;
}

std::string key(const std::string& name, std::string_view value, const std::string& spec = "") {
  return "apiVersion: management.loft.sh/v1\nkind: SSHKey\nmetadata:\n  name: " + name +
         "\nspec:\n  publicKey: " + std::string(value) + "\n" + spec;
}

class Directory : public testing::Test {
 protected:
  void SetUp() override { fs::create_directory(directory_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
  }
  Result<std::unique_ptr<Catalog>> open() {
    warnings_.clear();
    return open_directory_catalog(directory_,
                                  [this](const std::string& w) { warnings_.push_back(w); });
  }
  void expect_refused(const std::string& part) {
    const auto catalog = open();
    ASSERT_FALSE(catalog);
    EXPECT_EQ(catalog.error().code(), Errc::usage_manifest);
    EXPECT_THAT(catalog.error().message(), HasSubstr(part));
  }

  test::TempDir dir_;
  std::string directory_ = dir_.path("catalog");
  std::vector<std::string> warnings_;
};

std::vector<std::string> names(Catalog& catalog) {
  std::vector<std::string> names;
  const auto images = catalog.list_images().value();
  for (const OsImage& image : images) names.push_back(image.name);
  return names;
}

TEST_F(Directory, HoldsManifestsInItsFiles) {
  write("b.yaml", image("two") + "---\n" + key("mine", kKey) + "---\n" + image("one"));
  write("c.json",
        R"({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "storage.loft.sh/v1",
            "kind": "OSImage", "metadata": {"name": "three"}, "spec": {"properties":
            {"kubevirt.vcluster.com/image-url": "docker://a"}}}]})");
  write("d.yml", "apiVersion: v1\nkind: List\nitems: []\n");
  write("host.yaml",
        "apiVersion: metal3.io/v1alpha1\nkind: BareMetalHost\nmetadata: {name: two}\n");
  write("theirs.yaml", "apiVersion: example.org/v1\nkind: OSImage\nmetadata: {name: two}\n");
  write("kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [b.yaml]\n");
  for (const char* not_read : {".hidden.yaml", "b.yaml~", "#b.yaml#", "b.yaml.swp", "README.md"})
    write(not_read, "not: [yaml");
  fs::create_directory(directory_ + "/below.yaml");
  ASSERT_EQ(::mkfifo((directory_ + "/pipe.yaml").c_str(), 0600), 0);
  fs::create_symlink("pipe.yaml", directory_ + "/link.yaml");
  write("real", image("linked"));
  fs::create_symlink("real", directory_ + "/z.yaml");

  auto catalog = open();
  ASSERT_TRUE(catalog) << catalog.error().message();
  EXPECT_THAT(names(**catalog), ElementsAre("linked", "one", "three", "two"));
  EXPECT_EQ((*catalog)->describe(), "the catalog " + directory_);
  const auto two = (*catalog)->find_image("two").value();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->file, directory_ + "/b.yaml");
  EXPECT_EQ(two->line, 4);
  EXPECT_FALSE((*catalog)->find_image("mine").value());
  const auto mine = (*catalog)->find_ssh_key("mine").value();
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine->public_key, kKey);
  EXPECT_FALSE((*catalog)->find_ssh_key("two").value());
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(Directory, IsRefusedWithWhatIsWrong) {
  write("a.yaml", image("one") + "---\n" + key("one", kKey));
  ASSERT_TRUE(open());
  write("b.yaml", "---\n" + image("one"));
  expect_refused(directory_ +
                 "/b.yaml:5: metadata.name: there is another OSImage called 'one' in " +
                 directory_ + "/a.yaml:4");
  write("b.yaml", key("other", kKey) + "---\n" + key("other", kKey));
  expect_refused("b.yaml:11: metadata.name: there is another SSHKey called 'other' in " +
                 directory_ + "/b.yaml:4");
  write("b.yaml", image("two", "  owner: 7\n"));
  expect_refused("b.yaml:7: spec.owner: a map is wanted");
  write("b.yaml", "");
  expect_refused("b.yaml: line 1: no document");
  fs::remove(directory_ + "/b.yaml");
  fs::create_symlink("nothing", directory_ + "/b.yaml");
  expect_refused("b.yaml: No such file");
  fs::remove_all(directory_);
  expect_refused("reading the catalog " + directory_ + ": No such file");
}

TEST_F(Directory, WarnsOfWhatItPassesOver) {
  write("a.yaml", image("one", "  extra: 1\n"));
  ASSERT_TRUE(open());
  EXPECT_THAT(warnings_, ElementsAre(StartsWith(directory_ + "/a.yaml:7: spec.extra: unknown")));
}

TEST_F(Directory, SshKeysAreHeldToOneLine) {
  write("a.yaml", key("k", "|\n    " + std::string(kKey) + "  \n"));
  ASSERT_EQ(open().value()->find_ssh_key("k").value()->public_key, kKey);
  EXPECT_THAT(warnings_, IsEmpty());
  write("a.yaml", key("k", "ssh-rsa " + std::string(kKey.substr(12))));  // a key of another type
  ASSERT_TRUE(open());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("a.yaml:6: spec.publicKey: this does not look")));

  const std::string secret = "b3BlbnNzaC1rZXk";
  for (const auto& [value, part] : std::vector<std::pair<std::string, std::string>>{
           {"''", "empty"},
           {"' '", "empty"},
           {"AAAA", "no public key"},
           {"12", "a string is wanted"},
           {"\"" + std::string(kKey) + "\\n" + std::string(kKey) + "\"", "more than one line"},
           {"|\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    " + secret + "\n", "a private key"},
           {"|\n    PuTTY-User-Key-File-3: ssh-ed25519\n    " + secret + "\n", "a private key"}}) {
    write("a.yaml", key("k", value));
    expect_refused("a.yaml:6: spec.publicKey: " + part);
    EXPECT_THAT(open().error().message(), Not(HasSubstr(secret)));
    EXPECT_THAT(open().error().message(), Not(HasSubstr("AAAA")));
  }
  write("a.yaml",
        "apiVersion: management.loft.sh/v1\nkind: SSHKey\nmetadata: {name: k}\nspec: {}\n");
  expect_refused("a.yaml:4: spec.publicKey: missing");
}

TEST_F(Directory, GivesImagesToThoseWhoMayUseThem) {
  const std::string everyone = "  access: [{users: [\"*\"], verbs: [get]}]\n";
  write("a.yaml", image("ubuntu-noble", everyone) + "---\n" + image("debian-12", everyone) +
                      "---\n" + image("ubuntu-jammy", everyone) + "---\n" +
                      image("ubuntu-secret", "  owner: {user: admin}\n") + "---\n" +
                      image("ubuntu-nobodys"));
  auto catalog = open().value();
  const Caller bob{"bob", {}};
  EXPECT_EQ(image_for(*catalog, "ubuntu-noble", bob).value().name, "ubuntu-noble");
  EXPECT_EQ(image_for(*catalog, "ubuntu-secret", Caller{"admin", {}}).value().name,
            "ubuntu-secret");
  EXPECT_EQ(image_for(*catalog, "ubuntu-nobodys", std::nullopt).value().name, "ubuntu-nobodys");

  const auto denied = image_for(*catalog, "ubuntu-secret", bob);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code(), Errc::access_denied);
  EXPECT_THAT(denied.error().message(), StartsWith("user bob may not use the OSImage"));
  EXPECT_THAT(denied.error().advice(), HasSubstr("its owner, user admin"));
  EXPECT_THAT(denied.error().message() + denied.error().advice(), Not(HasSubstr("example.org")));
  const auto nobodys = image_for(*catalog, "ubuntu-nobodys", bob);
  ASSERT_FALSE(nobodys);
  EXPECT_EQ(nobodys.error().code(), Errc::access_denied);
  EXPECT_THAT(nobodys.error().advice(),
              AllOf(HasSubstr("an administrator"), HasSubstr("spec.access"), HasSubstr("owner")));

  const auto missing = image_for(*catalog, "ubuntu-nobel", bob);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::usage_manifest);
  EXPECT_EQ(missing.error().message(), "there is no OSImage 'ubuntu-nobel' in the catalog " +
                                           directory_ +
                                           "; user bob may use: ubuntu-noble, "
                                           "ubuntu-jammy, debian-12");
  EXPECT_THAT(image_for(*catalog, "ubuntu-nobel", std::nullopt).error().message(),
              HasSubstr("; there are: ubuntu-noble, ubuntu-nobodys, "));
}

TEST_F(Directory, GivesSshKeysInTheSameWay) {
  write("a.yaml", key("mine", kKey, "  owner: {user: alice}\n"));
  auto catalog = open().value();
  EXPECT_EQ(ssh_key_for(*catalog, "mine", Caller{"alice", {}}).value().public_key, kKey);
  const auto denied = ssh_key_for(*catalog, "mine", Caller{"", {"ops"}});
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code(), Errc::access_denied);
  EXPECT_THAT(denied.error().message(),
              StartsWith("somebody of the team ops may not use the SSHKey"));
  EXPECT_THAT(ssh_key_for(*catalog, "min", Caller{"alice", {}}).error().message(),
              HasSubstr("no SSHKey 'min' in"));
  const auto hidden = ssh_key_for(*catalog, "min", Caller{"bob", {}});
  EXPECT_THAT(hidden.error().message(), AllOf(Not(HasSubstr("mine")), HasSubstr("no other")));
}

TEST(NearestFirst, ByEditDistance) {
  EXPECT_THAT(nearest_first({"b", "noble", "ubuntu-noble", "ubuntu-nobel-2"}, "ubuntu-nobel", 3),
              ElementsAre("ubuntu-nobel-2", "ubuntu-noble", "noble"));
  EXPECT_THAT(nearest_first({"b", "a"}, "", 8), ElementsAre("a", "b"));
  EXPECT_THAT(nearest_first({}, "a", 8), IsEmpty());
  EXPECT_THAT(nearest_first({"a", "b"}, "a", 0), IsEmpty());
}

// examples/ and examples/platform/ are catalogs as they are.
TEST(Examples, AreCatalogs) {
  const auto open = [](const std::string& folder) {
    auto catalog = open_directory_catalog((fs::path(INGOT_SOURCE_DIR) / folder).string(),
                                          [](const std::string& w) { ADD_FAILURE() << w; });
    EXPECT_TRUE(catalog) << catalog.error().message();
    return std::move(catalog).value();
  };
  const auto small = open("examples");
  const Caller anybody{"anybody", {}};
  EXPECT_EQ(image_for(*small, "debian-12", anybody).error().code(), Errc::access_denied);
  EXPECT_FALSE(image_for(*small, "ubuntu-noble", anybody));

  const auto platform = open("examples/platform");
  const auto noble = image_for(*platform, "ubuntu-noble", anybody);
  ASSERT_TRUE(noble) << noble.error().message();
  EXPECT_EQ(noble->checksum.type, DigestType::sha256);
  EXPECT_EQ(noble->access.owner_user, "admin");
  EXPECT_EQ(image_for(*platform, "gpu-training", anybody).error().code(), Errc::access_denied);
  EXPECT_TRUE(image_for(*platform, "gpu-training", Caller{"alice", {"training"}}));
  EXPECT_THAT(image_for(*platform, "gpu", anybody).error().message(),
              Not(HasSubstr("gpu-training")));
  for (const char* name : {"vm-ubuntu-container-disk", "vm-ubuntu-http", "vm-ubuntu-datasource"})
    EXPECT_EQ(image_for(*platform, name, anybody).value().other_provider, "kubevirt") << name;
  EXPECT_TRUE(must_serve_metal3(image_for(*platform, "debian-12-anywhere", anybody).value()));
  EXPECT_TRUE(ssh_key_for(*platform, "on-call", anybody));
  EXPECT_FALSE(ssh_key_for(*platform, "training", anybody));
}

TEST_F(Directory, OffersAFewNames) {
  std::string many;
  for (int i = 10; i < 30; ++i) many += image("image-" + std::to_string(i)) + "---\n";
  write("a.yaml", many);
  auto catalog = open().value();
  EXPECT_THAT(names(*catalog), SizeIs(20));
  EXPECT_THAT(image_for(*catalog, "image-1", std::nullopt).error().message(),
              HasSubstr("there are: image-10, image-11, image-12, image-13, image-14, image-15, "
                        "image-16, image-17 and 12 more"));
}

class DirectoryChanges : public Directory, public testing::WithParamInterface<WatchBy> {};

TEST_P(DirectoryChanges, AreNoticedOnce) {
  write("a.yaml", image("one"));
  const auto watch = watch_directory(directory_, GetParam());
  const auto expect_told = [&](const char* what, bool told = true) {
    EXPECT_EQ(watch->changed(), told) << what;
    EXPECT_FALSE(watch->changed()) << "again: " << what;
  };
  expect_told("nothing", false);
  write("notes.txt", "a");
  write(".a.yaml.swp", "a");
  expect_told("files that are not read", false);
  write("b.yaml", image("two"));
  expect_told("a new file");
  write("a.yaml", image("other"));
  expect_told("an edited file");
  write(".tmp", image("two"));
  fs::rename(directory_ + "/.tmp", directory_ + "/b.yaml");
  expect_told("an exchanged file");
  fs::rename(directory_ + "/b.yaml", directory_ + "/b.bak");
  expect_told("a file renamed away");
  fs::remove(directory_ + "/a.yaml");
  expect_told("a removed file");
  write("real", image("one"));
  fs::create_symlink("real", directory_ + "/link.yaml");
  expect_told("a new link");
  write("real", image("one-more"));
  expect_told("what a link leads to");
  fs::rename(directory_, dir_.path("gone"));
  expect_told("the directory is gone");
  fs::create_directory(directory_);
  write("a.yaml", image("one"));
  expect_told("another directory of the name");
  write("a.yaml", image("another"));
  expect_told("an edited file in that");
  write("../gone/a.yaml", image("one"));
  expect_told("the directory that had the name", false);
}

INSTANTIATE_TEST_SUITE_P(BothWays, DirectoryChanges,
                         testing::Values(WatchBy::notifications_and_comparison,
                                         WatchBy::comparison));

TEST_F(Directory, NotificationsTellWhatComparingCannotSee) {
  write("a.yaml", image("one"));
  const auto told = watch_directory(directory_);
  const auto compared = watch_directory(directory_, WatchBy::comparison);
  const auto path = fs::path(directory_) / "a.yaml";
  const auto time = fs::last_write_time(path);
  write("a.yaml", image("two"));
  fs::last_write_time(path, time);
  EXPECT_TRUE(told->changed());
  EXPECT_FALSE(told->changed());
  EXPECT_FALSE(compared->changed());
  fs::create_directory_symlink(".", directory_ + "/..new");  // as a kubelet exchanges a ConfigMap
  EXPECT_FALSE(told->changed());
  fs::rename(directory_ + "/..new", directory_ + "/..data");
  EXPECT_TRUE(told->changed());
}

TEST_F(Directory, WhoIsInTheMiddleOfWritingIsKnown) {
  write("a.yaml", image("one"));
  const auto watch = watch_directory(directory_);
  EXPECT_FALSE(watch->being_written());
  std::ofstream notes(directory_ + "/notes.txt");
  notes << "text" << std::flush;
  EXPECT_FALSE(watch->being_written());
  std::ofstream file(directory_ + "/a.yaml");  // empties it
  EXPECT_TRUE(watch->being_written());
  EXPECT_TRUE(watch->changed());
  file << image("other") << std::flush;
  EXPECT_TRUE(watch->changed());
  EXPECT_TRUE(watch->being_written());
  file.close();
  EXPECT_FALSE(watch->being_written());
  EXPECT_TRUE(watch->changed()) << "it was closed";
  EXPECT_FALSE(watch->changed());
  std::ofstream removed(directory_ + "/a.yaml");
  fs::remove(directory_ + "/a.yaml");
  EXPECT_FALSE(watch->being_written());
}

TEST_F(Directory, MayComeLater) {
  fs::remove_all(directory_);
  const auto watch = watch_directory(directory_);
  EXPECT_FALSE(watch->changed());
  fs::create_directory(directory_);
  EXPECT_TRUE(watch->changed());
  write("a.yaml", image("one"));
  EXPECT_TRUE(watch->changed());
}

// A server that answers for one object, and for no list.
class Unlisted final : public Catalog {
 public:
  Result<std::optional<OsImage>> find_image(const std::string&) override {
    return std::optional<OsImage>();
  }
  Result<std::optional<SshKey>> find_ssh_key(const std::string&) override {
    return fail(Errc::access_denied, "forbidden");
  }
  Result<std::vector<OsImage>> list_images() override {
    return fail(Errc::controller_refused, "listing is forbidden");
  }
  [[nodiscard]] std::string describe() const override { return "the server"; }
};

TEST(Catalog, WhatCannotBeListedIsStillAbsent) {
  Unlisted catalog;
  const auto image = image_for(catalog, "one", std::nullopt);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::usage_manifest);
  EXPECT_THAT(image.error().message(),
              AllOf(StartsWith("there is no OSImage 'one' in the server; "),
                    HasSubstr("listing is forbidden")));
  EXPECT_EQ(ssh_key_for(catalog, "one", std::nullopt).error().code(), Errc::access_denied);
}

}  // namespace
}  // namespace ingot::agent
