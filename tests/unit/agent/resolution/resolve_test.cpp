// Resolution: what wins, what is refused, and the three things that become of it.
#include "agent/resolution/resolve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "agent/osimage/directory_catalog.hpp"
#include "agent/resolution/bare_metal_host.hpp"
#include "agent/resolution/explanation.hpp"
#include "agent/resolution/instance_info.hpp"
#include "agent/text/yaml_writer.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kMd5 = "d41d8cd98f00b204e9800998ecf8427e";
const std::string kSha(64, 'a');

constexpr std::string_view kCatalog = R"(
apiVersion: management.loft.sh/v1
kind: OSImage
metadata: {name: noble}
spec:
  owner: {user: admin}
  properties:
    metal3.vcluster.com/image-url: http://h/noble
    metal3.vcluster.com/image-checksum: d41d8cd98f00b204e9800998ecf8427e
    metal3.vcluster.com/image-checksum-type: md5
    ingot.io/image-format: qcow2
    ingot.io/on-success: poweroff
    ingot.io/reinstall: always
    kubevirt.vcluster.com/image-url: docker://h/noble
---
apiVersion: management.loft.sh/v1
kind: OSImage
metadata: {name: virtual}
spec: {properties: {kubevirt.vcluster.com/image-url: "docker://h/x"}}
---
apiVersion: management.loft.sh/v1
kind: SSHKey
metadata: {name: ops}
spec: {publicKey: "ssh-ed25519 AAAAops ops", access: [{verbs: [get], users: ["*"]}]}
---
apiVersion: management.loft.sh/v1
kind: SSHKey
metadata: {name: secret}
spec: {publicKey: "ssh-ed25519 AAAAsecret secret"}
)";

std::string manifest(const std::string& kind, const std::string& name, const std::string& spec) {
  return "apiVersion: management.loft.sh/v1\nkind: " + kind + "\nmetadata: {name: " + name +
         "}\nspec:\n" + spec;
}

std::string machine(const std::string& properties, const std::string& refs = "") {
  return manifest("Machine", "m", refs + "  properties:\n" + properties);
}

class Resolve : public ::testing::Test {
 protected:
  Resolve() {
    std::ofstream(dir_.path("catalog.yaml")) << kCatalog;
    auto catalog = open_directory_catalog(dir_.path(""), {});
    if (!catalog) throw std::runtime_error(catalog.error().message());
    catalog_ = *std::move(catalog);
  }

  static std::vector<Manifest> read(const std::string& text) {
    auto manifests = parse_manifests(text, "f.yaml");
    if (!manifests) throw std::runtime_error(manifests.error().message());
    return *std::move(manifests);
  }

  Result<Resolution> resolved() { return resolve(input_, *catalog_); }
  Result<Resolution> resolved(const std::string& properties) {
    input_.manifests.machines = read(machine(properties));
    return resolved();
  }
  DeployRequest request(const std::string& properties) {
    auto resolution = resolved(properties);
    if (!resolution) {
      ADD_FAILURE() << resolution.error().message();
      return {};
    }
    return *std::move(resolution)->request;
  }
  std::string error(const std::string& properties) {
    const auto resolution = resolved(properties);
    return resolution ? "none" : resolution.error().message();
  }

  test::TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
  ResolutionInput input_;
};

constexpr const char* kNoble = "    vcluster.com/os-image: noble\n";

TEST_F(Resolve, TheLaterLinkWinsAndEachOriginIsKept) {
  input_.manifests.node_providers = read(manifest("NodeProvider", "p", R"(  properties:
    vcluster.com/os-image: provider
    metal3.vcluster.com/dns-servers: 10.0.0.1
    vcluster.com/ssh-keys: ops
  metal3:
    nodeTypes:
      - {name: small}
      - name: large
        properties: {vcluster.com/os-image: type}
)"));
  input_.manifests.node_environments = read(
      manifest("NodeEnvironment", "lab", "  properties: {vcluster.com/os-image: env, x: lab}\n") +
      "---\n" + manifest("NodeEnvironment", "prod", "  properties: {x: prod}\n"));
  input_.manifests.machines =
      read(machine(std::string(kNoble) + "    vcluster.com/network-environment: prod\n",
                   "  typeRef: {name: large}\n  providerRef: p\n  environmentRef: {name: lab}\n"));
  auto resolution = resolved();
  ASSERT_TRUE(resolution) << resolution.error().message();
  // The property names the environment, over environmentRef.
  EXPECT_EQ(resolution->properties.value("x"), "prod");
  const Property* image = resolution->properties.find(kOsImage);
  EXPECT_EQ(image->value, "noble");
  EXPECT_EQ(image->origin.place(), "f.yaml:9: Machine 'm'");
  ASSERT_EQ(image->overrode.size(), 2U);
  EXPECT_EQ(image->overrode[0].origin.place(), "f.yaml:13: NodeType 'large'");
  EXPECT_EQ(image->overrode[1].origin.place(), "f.yaml:6: NodeProvider 'p'");
  EXPECT_EQ(resolution->properties.value(kNodeType), "large");
  EXPECT_EQ(resolution->properties.find(kImageUrl)->origin.object(), "OSImage 'noble'");

  const DeployRequest& request = *resolution->request;
  EXPECT_EQ(request.machine, "m");
  EXPECT_EQ(request.os_image, "noble");
  EXPECT_THAT(request.urls, ElementsAre("http://h/noble"));
  EXPECT_EQ(request.checksum.value_or_url, kMd5);
  EXPECT_EQ(request.checksum.type, DigestType::md5);
  EXPECT_EQ(request.format, "qcow2");
  EXPECT_THAT(request.dns_servers, ElementsAre("10.0.0.1"));
  EXPECT_THAT(request.ssh_keys, ElementsAre("ssh-ed25519 AAAAops ops"));
  EXPECT_THAT(request.user_data, HasSubstr("ssh_authorized_keys:\n  - ssh-ed25519 AAAAops ops\n"));
  EXPECT_EQ(request.meta_data, R"({"name":"m","hostname":"m"})");
  EXPECT_EQ(request.on_success, OnSuccess::poweroff);  // the image's own, underneath
  // What is about one machine an image cannot say.
  ASSERT_EQ(resolution->left_out.size(), 1U);
  EXPECT_EQ(resolution->left_out[0].name, kReinstall);

  // Without the property, environmentRef.
  input_.manifests.machines = read(machine(kNoble, "  typeRef: large\n  environmentRef: lab\n"));
  resolution = resolved();
  ASSERT_TRUE(resolution) << resolution.error().message();
  EXPECT_EQ(resolution->properties.value("x"), "lab");
}

TEST_F(Resolve, ALinkThatIsNamedHasToBeThere) {
  const auto refused = [this](const std::string& refs) {
    input_.manifests.machines = read(machine(kNoble, refs));
    const auto resolution = resolved();
    return resolution ? "none" : resolution.error().message();
  };
  EXPECT_THAT(refused("  typeRef: large\n"),
              HasSubstr("f.yaml:5: spec.typeRef: it names the NodeType"));
  EXPECT_THAT(refused("  providerRef: p\n"), HasSubstr("NodeProvider 'p', which is not given"));
  EXPECT_THAT(refused("  environmentRef: 12\n"), HasSubstr("a string is wanted"));
  input_.manifests.node_environments = read(manifest("NodeEnvironment", "a", "  {}\n") + "---\n" +
                                            manifest("NodeEnvironment", "b", "  {}\n"));
  EXPECT_THAT(refused("  environmentRef: c\n"), HasSubstr("which is not given; there is a, b"));
  EXPECT_THAT(refused(""), HasSubstr("NodeEnvironments a, b, and nothing says which"));
  input_.manifests.node_environments.push_back(input_.manifests.node_environments.front());
  EXPECT_THAT(refused("  environmentRef: a\n"),
              HasSubstr("f.yaml:3: metadata.name: there is another NodeEnvironment called 'a'"));
  input_.manifests.node_environments.pop_back();
  input_.manifests.the_only_one_counts = false;  // as a server does that has many
  EXPECT_EQ(refused(""), "none");
  input_.manifests.node_providers = read(
      manifest("NodeProvider", "p", "  metal3: {nodeTypes: [{name: large}, {name: small}]}\n"));
  EXPECT_THAT(refused("  providerRef: p\n  typeRef: huge\n"),
              HasSubstr("there is no NodeType 'huge': NodeProvider 'p' (f.yaml) has large, small"));
  input_.manifests.node_providers =
      read(manifest("NodeProvider", "p", "  properties: {ingot.io/mac-addresses: x}\n"));
  EXPECT_THAT(refused("  providerRef: p\n"), HasSubstr("belongs on a Machine or NodeClaim alone"));
}

TEST_F(Resolve, ADirectImageWinsAsAUnit) {
  const std::string url = "    metal3.vcluster.com/image-url: http://h/own\n";
  const std::string checksum = "    metal3.vcluster.com/image-checksum: \"" + kSha + "\"\n";
  const auto direct = request(kNoble + url + checksum);
  EXPECT_THAT(direct.urls, ElementsAre("http://h/own"));
  EXPECT_EQ(direct.checksum.value_or_url, kSha);
  EXPECT_FALSE(direct.checksum.type);  // not the OSImage's md5
  EXPECT_EQ(direct.format, "");        // nor its format
  EXPECT_EQ(direct.os_image, "");
  EXPECT_EQ(request(url + checksum).urls, direct.urls);
  const auto resolution = resolved(kNoble + url + checksum);
  EXPECT_EQ(resolution->left_out.size(), 3U);
  EXPECT_EQ(resolution->properties.find(kImageUrl)->overrode.size(), 1U);

  // Another checksum of the same file: its type is found anew.
  const auto pinned = request(kNoble + checksum);
  EXPECT_THAT(pinned.urls, ElementsAre("http://h/noble"));
  EXPECT_EQ(pinned.checksum.value_or_url, kSha);
  EXPECT_FALSE(pinned.checksum.type);

  EXPECT_THAT(error(kNoble + url),
              HasSubstr("f.yaml:7: Machine 'm': metal3.vcluster.com/image-url: it "
                        "has no metal3.vcluster.com/image-checksum of its own"));
  EXPECT_THAT(error(url), HasSubstr("both are required"));
  EXPECT_THAT(error("    x: y\n"), HasSubstr("nothing says which image"));
  EXPECT_THAT(error(std::string(kNoble) + "    metal3.vcluster.com/image-checksum-type: sha512\n"),
              HasSubstr("whose type is md5"));
  EXPECT_THAT(error("    vcluster.com/os-image: virtual\n"),
              HasSubstr("only the kubevirt provider"));
  EXPECT_THAT(request("    vcluster.com/os-image: virtual\n" + url + checksum).urls,
              ElementsAre("http://h/own"));
  EXPECT_THAT(error("    vcluster.com/os-image: nobel\n"), HasSubstr("there are: noble"));
  // The URL of one link and the checksum of another.
  input_.manifests.node_providers =
      read(manifest("NodeProvider", "p", "  properties:\n" + url + checksum));
  const auto other = resolved(kNoble);
  ASSERT_TRUE(other);
  EXPECT_THAT(other->request->urls, ElementsAre("http://h/own"));
  EXPECT_THAT(other->warnings, ElementsAre(HasSubstr("the OSImage 'noble' is not the one")));
  const auto mixed = resolved("    metal3.vcluster.com/image-url: http://h/other\n");
  ASSERT_TRUE(mixed);
  EXPECT_THAT(mixed->warnings, ElementsAre(HasSubstr("its checksum is from elsewhere")));
}

TEST_F(Resolve, AccessIsCheckedOfImageAndKeys) {
  input_.caller = Caller{"bob", {}};
  auto denied = resolved(kNoble);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code(), Errc::access_denied);
  EXPECT_THAT(denied.error().message() + denied.error().advice(), Not(HasSubstr("http://h/noble")));
  EXPECT_THAT(denied.error().advice(), HasSubstr("user admin"));
  EXPECT_THAT(error("    vcluster.com/os-image: nobel\n"), Not(HasSubstr("noble")));
  input_.caller = Caller{"admin", {}};
  EXPECT_EQ(error(std::string(kNoble) + "    vcluster.com/ssh-keys: ops\n"), "none");
  denied = resolved(std::string(kNoble) + "    vcluster.com/ssh-keys: ops, secret\n");
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code(), Errc::access_denied);
}

TEST_F(Resolve, RefusesWhatItCannotDo) {
  const std::pair<std::string, std::string> wrong[] = {
      {"    vcluster.com/user-data-template-config: t\n", "'t' is rendered by the platform"},
      {"    vcluster.com/network-data-template-config: t\n", "'t' is rendered by the platform"},
      {"    metal3.vcluster.com/dns-servers: 10.0.0.1, nameserver\n", "'nameserver' is no IP"},
      {"    ingot.io/device: sda\n", "not a path"},
      {"    ingot.io/root-device-hints: '[]'\n", "not a JSON object"},
      {"    ingot.io/device: /dev/sda\n    ingot.io/root-device-hints: '{}'\n", "only one of them"},
      {"    ingot.io/image-format: iso\n", "none of auto"},
      {"    ingot.io/on-success: halt\n", "none of reboot"},
      {"    x: 12\n", "put it in quotes"},
      {"    vcluster.com/ssh-keys: ops\n    vcluster.com/user-data: \"#cloud-config\\n- "
       "hunter2\"\n",
       "the user data: line 2: a cloud-config is a map"}};
  for (const auto& [properties, words] : wrong) {
    EXPECT_THAT(error(kNoble + properties), HasSubstr(words));
    EXPECT_THAT(error(kNoble + properties), Not(HasSubstr("hunter2")));
  }
  // The direct value wins over the template, and then nothing is missing.
  const auto direct = request(std::string(kNoble) +
                              "    vcluster.com/user-data-template-config: t\n"
                              "    vcluster.com/user-data: '#!/bin/sh'\n"
                              "    vcluster.com/network-data-template-config: t\n"
                              "    metal3.vcluster.com/network-data: '{\"links\": []}'\n");
  EXPECT_EQ(direct.user_data, "#!/bin/sh");
  EXPECT_EQ(direct.network_data, R"({"links": []})");
  const auto remarks = resolved(std::string(kNoble) +
                                "    metal3.vcluster.com/network-cidr: 10.0.0.1/24\n"
                                "    ingot.io/devise: /dev/sda\n");
  ASSERT_TRUE(remarks);
  EXPECT_THAT(remarks->warnings, ElementsAre(HasSubstr("allocated by the platform"),
                                             HasSubstr("there is no such property")));
  input_.provider = "kubevirt";
  const auto other = resolved("    vcluster.com/os-image: nobody\n");
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->request);
  EXPECT_EQ(other->properties.value(kOsImage), "nobody");
}

TEST_F(Resolve, ABareMetalHostGivesHintsAndIsTheOneThatIsNamed) {
  const auto host = [](const std::string& spec) {
    return read(
        "apiVersion: metal3.io/v1alpha1\nkind: BareMetalHost\nmetadata: {name: h1, namespace: "
        "metal}\nspec:\n" +
        spec);
  };
  input_.manifests.bare_metal_hosts = host(
      "  bootMACAddress: 52:54:00:AA:00:01\n  rootDeviceHints: {deviceName: /dev/vda, model: big, "
      "minSizeGigabytes: 400, rotational: false, wwn: \"0x1\"}\n");
  const auto resolution =
      resolved(std::string(kNoble) + "    metal3.vcluster.com/server-name: h1\n");
  ASSERT_TRUE(resolution) << resolution.error().message();
  EXPECT_EQ(resolution->request->root_device_hints,
            R"({"name":"s== /dev/vda","model":"<in> big","wwn":"s== 0x1","size":">= 400",)"
            R"("rotational":false})");
  EXPECT_EQ(resolution->host->boot_mac_address, "52:54:00:aa:00:01");
  EXPECT_EQ(request(std::string(kNoble) + "    ingot.io/root-device-hints: '{\"name\": \"x\"}'\n")
                .root_device_hints,
            R"({"name":"x"})");
  const auto named = request(std::string(kNoble) + "    ingot.io/device: /dev/sdb\n");
  EXPECT_EQ(named.device, "/dev/sdb");
  EXPECT_EQ(named.root_device_hints, "");
  EXPECT_THAT(error(std::string(kNoble) + "    metal3.vcluster.com/server-name: h2\n"),
              HasSubstr("it names 'h2', and the BareMetalHost that is given is h1"));
  for (const auto* wrong :
       {"  bootMACAddress: 52:54\n", "  rootDeviceHints: {minSizeGigabytes: big}\n",
        "  rootDeviceHints: {size: 4}\n", "  rootDeviceHints: {rotational: 'x'}\n"}) {
    input_.manifests.bare_metal_hosts = host(wrong);
    EXPECT_THAT(error(kNoble), HasSubstr("f.yaml:5: spec.")) << wrong;
  }
}

TEST_F(Resolve, BecomesWhatMetal3AndIronicTake) {
  const auto full = request(std::string(kNoble) +
                            "    vcluster.com/user-data: \"#!/bin/sh\\ntrue\\n\"\n"
                            "    metal3.vcluster.com/network-data: 'links: []'\n"
                            "    metal3.vcluster.com/dns-servers: 10.0.0.1,fd00::1\n"
                            "    metal3.vcluster.com/server-name: h1\n"
                            "    ingot.io/device: /dev/sda\n");
  const auto documents = bare_metal_host_patch(full, "", "metal");
  ASSERT_TRUE(documents);
  ASSERT_EQ(documents->size(), 3U);
  EXPECT_EQ(write_yaml((*documents)[0]),
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: h1-user-data\n  namespace: metal\n"
            "type: Opaque\nstringData:\n  userData: |\n    #!/bin/sh\n    true\n");
  EXPECT_EQ(
      write_yaml((*documents)[2]),
      "apiVersion: metal3.io/v1alpha1\nkind: BareMetalHost\nmetadata:\n  name: h1\n"
      "  namespace: metal\n  annotations:\n"
      "    metal3.vcluster.com/dns-servers: \"10.0.0.1,fd00::1\"\nspec:\n  image:\n"
      "    url: http://h/noble\n    checksum: d41d8cd98f00b204e9800998ecf8427e\n"
      "    checksumType: md5\n    format: qcow2\n  userData:\n    name: h1-user-data\n"
      "    namespace: metal\n  networkData:\n    name: h1-network-data\n    namespace: metal\n"
      "  online: true\n");
  const auto ironic = instance_info(full);
  ASSERT_TRUE(ironic);
  EXPECT_EQ(write_json(*ironic, JsonForm::one_line),
            R"({"instance_info":{"image_source":"http://h/noble",)"
            R"("image_checksum":"d41d8cd98f00b204e9800998ecf8427e","image_disk_format":"qcow2"},)"
            R"("properties":{"root_device":{"name":"s== /dev/sda"}},)"
            R"("configdrive":{"meta_data":{"name":"m","hostname":"m"},"network_data":{"links":[]},)"
            R"("user_data":"#!/bin/sh\ntrue\n"}})");

  DeployRequest least;
  least.urls = {"http://h/a"};
  least.checksum = {"SHA256:" + std::string(64, 'A'), std::nullopt};
  const auto patch = bare_metal_host_patch(least, "", "");
  ASSERT_TRUE(patch);
  EXPECT_THAT(write_yaml(patch->front()),
              HasSubstr("    checksum: " + kSha + "\n    checksumType: sha256\n"));
  EXPECT_EQ(patch->front().find("metadata"), nullptr);
  EXPECT_THAT(write_json(*instance_info(least), JsonForm::one_line),
              HasSubstr(R"("image_os_hash_algo":"sha256","image_os_hash_value":"aa)"));
  least.checksum = {"http://h/SUMS", std::nullopt};
  EXPECT_THAT(write_yaml(bare_metal_host_patch(least, "", "")->front()),
              HasSubstr("checksumType: auto"));
  least.user_data = "x";
  EXPECT_FALSE(bare_metal_host_patch(least, "", ""));  // no name for the Secret
  least.network_data = "text";
  EXPECT_FALSE(instance_info(least));
  least.format = "vhd";
  EXPECT_FALSE(bare_metal_host_patch(least, "h", ""));
}

TEST_F(Resolve, IsExplainedWithoutUserData) {
  const auto resolution = resolved(std::string(kNoble) +
                                   "    vcluster.com/user-data: \"#!/bin/sh\\necho hunter2\\n\"\n");
  ASSERT_TRUE(resolution);
  const std::string text = write_yaml(explain(*resolution));
  EXPECT_THAT(text,
              HasSubstr("  - name: vcluster.com/user-data\n    value: \"(2 lines, not shown)\"\n"
                        "    from:\n      kind: Machine\n      name: m\n      file: f.yaml\n"
                        "      line: 7\n"));
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
}

TEST(RequestOfProperties, IsMadeWithoutACatalog) {
  const auto request = parse_deploy_request(
      "properties:\n  metal3.vcluster.com/image-url: http://h/a\n"
      "  metal3.vcluster.com/image-checksum: d41d8cd98f00b204e9800998ecf8427e\n"
      "  vcluster.com/user-data: '#!/bin/sh'\n  ingot.io/device: /dev/sda\n",
      "from");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_THAT(request->urls, ElementsAre("http://h/a"));
  EXPECT_EQ(request->device, "/dev/sda");
  EXPECT_EQ(request->user_data, "#!/bin/sh");
  const auto error = [](const std::string& text) {
    const auto wrong = parse_deploy_request(text, "from");
    return wrong ? "none" : wrong.error().message();
  };
  EXPECT_THAT(error("properties:\n  vcluster.com/os-image: x\n"),
              HasSubstr("from:2: vcluster.com/os-image: a name, and there is no catalog"));
  EXPECT_THAT(error("properties: {x: 1}"), HasSubstr("from:1: properties[x]: a string is wanted"));
  EXPECT_THAT(error("properties: {}\nspec: {}\n"), HasSubstr("from:2: spec: no such field"));
}

}  // namespace
}  // namespace ingot::agent
