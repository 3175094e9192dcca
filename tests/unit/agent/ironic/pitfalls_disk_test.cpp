// The pitfalls of disks and images, by their numbers in the list of the agent protocol; on loop
// devices.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "agent/http/tls_identity.hpp"
#include "agent/ironic/image_order.hpp"
#include "disk/inventory/disk.hpp"
#include "tests/support/fault_server.hpp"
#include "tests/unit/agent/ironic/loop_agent.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using test::DiskImage;
using test::LoopAgent;
using test::LoopDevice;
using test::ServedText;

json::object info(const std::string& url, const std::string& checksum, const json::value& format) {
  return {{"id", "image"},
          {"urls", json::array{json::value_from(url)}},
          {"disk_format", format},
          {"os_hash_algo", "sha256"},
          {"os_hash_value", json::value_from(checksum)}};
}

json::object node_with(const json::object& hints) {
  return {{"uuid", "1be26c0b"}, {"instance_info", {{"root_device", hints}}}};
}
json::object node_for(const LoopDevice& disk) {
  return node_with({{"name", json::value_from("s== " + disk.path())}});
}

// One agent, one disk of 32 MiB, one image.
class Deployment {
 public:
  explicit Deployment(const std::string& label = "gpt", std::uint64_t size = 32 * MiB,
                      unsigned sector = 512)
      : disk(size, sector), image(label) {}

  json::object write(const std::string& content, const json::value& format = nullptr,
                     const json::object& more = {}) {
    ServedText server(content);
    json::object args = more;
    args["image_info"] = info(server.url(), image.sum_of(content, "sha256sum"), format);
    return agent.step("deploy", "write_image", args, node_for(disk));
  }

  LoopDevice disk;
  DiskImage image;
  LoopAgent agent{{&disk}};
};

bool has_data(const LoopDevice& disk, char letter = 'b') {
  return test::bytes_of(disk, DiskImage::kDataAt, MiB) == std::string(MiB, letter);
}

// Lookup's tls_min_version is for the conductor's connections: of an image the checksum decides.
TEST(Pitfall, N02ImageServersMaySpeakTls12) {
  Deployment one;
  const test::TempDir dir;
  const auto identity = make_tls_identity("127.0.0.1", "images");
  ASSERT_TRUE(identity);
  std::ofstream(dir.path("crt")) << identity->certificate;
  std::ofstream(dir.path("key")) << identity->private_key;
  const std::string content = one.image.content();
  std::ofstream(dir.path("image"), std::ios::binary) << content;
  const test::Server server(
      {"/usr/bin/python3", "-c",
       "import functools, http.server, ssl, sys\n"
       "class Quiet(http.server.SimpleHTTPRequestHandler):\n"
       "    def log_message(self, *_): pass\n"
       "where = sys.argv[1]\n"
       "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),\n"
       "                                         functools.partial(Quiet, directory=where))\n"
       "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
       "context.maximum_version = ssl.TLSVersion.TLSv1_2\n"
       "context.load_cert_chain(where + '/crt', where + '/key')\n"
       "server.socket = context.wrap_socket(server.socket, server_side=True)\n"
       "print(f'https://127.0.0.1:{server.server_port}', flush=True)\n"
       "server.serve_forever()\n",
       dir.path(".")});
  one.agent.options.ca_file = dir.path("crt");
  AgentOptions options = one.agent.options;
  options.api_urls = {server.first_line()};
  IronicClient client(options);
  client.set_tls("1.3", "");
  EXPECT_EQ(client.discover({}).error().code(), Errc::controller_unreachable)
      << "the server speaks TLS 1.3";

  LookupAnswer answer;
  answer.uuid = "1be26c0b";
  answer.tls_min_version = "1.3";
  one.agent.node.adopt(answer);
  const auto record = one.agent.step(
      "deploy", "write_image",
      {{"image_info",
        info(server.first_line() + "/image", one.image.sum_of(content, "sha256sum"), "raw")}},
      node_for(one.disk));
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(has_data(one.disk));
}

// One process sees several deployments: the newest node counts.
TEST(Pitfall, N16FastTrackUsesTheNewestNode) {
  const LoopDevice first(32 * MiB), second(32 * MiB);
  const DiskImage image("gpt", 1), mbr("dos", 2);
  test::run("sfdisk -q --disk-id " + mbr.raw() + " 0x1234abcd");
  const std::string one = image.content(), two = mbr.content();
  ServedText server_one(one), server_two(two);
  LoopAgent agent({&first, &second});
  const auto uuid = [&] {
    return string_in(agent.run("standby.get_partition_uuids", {}).at("command_result").as_object(),
                     "root uuid");
  };
  const auto order = [&](const ServedText& server, const std::string& content) {
    return json::object{
        {"image_info", info(server.url(), image.sum_of(content, "sha256sum"), "raw")}};
  };
  EXPECT_EQ(
      test::status_of(agent.step("deploy", "write_image", order(server_one, one), node_for(first))),
      "SUCCEEDED");
  EXPECT_EQ(uuid(), "0x00000000");
  EXPECT_EQ(test::status_of(agent.step("clean", "erase_devices_metadata", {}, {})), "SUCCEEDED");
  EXPECT_EQ(test::status_of(
                agent.step("deploy", "write_image", order(server_two, two), node_for(second))),
            "SUCCEEDED");
  EXPECT_EQ(uuid(), "0x1234abcd");
  EXPECT_TRUE(has_data(first, 'b'));
  EXPECT_TRUE(has_data(second, 'c'));
  // Commands without a node's record work with the last one that came.
  agent.run("deploy.get_deploy_steps", {{"node", node_for(first)}});
  EXPECT_EQ(test::status_of(agent.run("standby.prepare_image", order(server_two, two))),
            "SUCCEEDED");
  EXPECT_TRUE(has_data(first, 'c'));
}

// No image is remembered by its id.
TEST(Pitfall, N17ARedeploymentWritesAgain) {
  Deployment one;
  const std::string content = one.image.content();
  ASSERT_EQ(test::status_of(one.write(content, "raw")), "SUCCEEDED");
  test::run("head -c 1M /dev/zero | tr '\\0' x | dd of=" + one.disk.path() +
            " bs=1M seek=2 conv=notrunc,fsync status=none iflag=fullblock");
  ASSERT_FALSE(has_data(one.disk));
  ASSERT_EQ(test::status_of(one.write(content, "raw")), "SUCCEEDED");
  EXPECT_TRUE(has_data(one.disk));
}

// The conductor reads that as "none".
TEST(Pitfall, N18AGptsRootUuidIsZero) {
  Deployment one;
  ASSERT_EQ(test::status_of(one.write(one.image.content(), "raw")), "SUCCEEDED");
  EXPECT_EQ(json::serialize(one.agent.run("standby.get_partition_uuids", {}).at("command_result")),
            R"({"root uuid":"0x00000000"})");
}

TEST(Pitfall, N19TheDefaultDiskIsTheSmallestOfAtLeast4GiB) {
  const LoopDevice large(6 * GiB), small(4 * GiB), tiny(4 * GiB - MiB);
  const DiskImage image;
  const std::string content = image.content();
  ServedText server(content);
  LoopAgent agent({&large, &small, &tiny});
  const auto record = agent.step(
      "deploy", "write_image",
      {{"image_info", info(server.url(), image.sum_of(content, "sha256sum"), "raw")}}, {});
  EXPECT_EQ(test::status_of(record), "SUCCEEDED");
  EXPECT_TRUE(has_data(small));
  EXPECT_FALSE(has_data(large));
  EXPECT_FALSE(has_data(tiny));
}

disk::Disk disk_of(std::uint64_t size) {
  disk::Disk disk;
  disk.name = "/dev/sda";
  disk.size = size;
  return disk;
}

// Whether the node's hints let a disk pass.
bool passes(const json::object& hints, const disk::Disk& disk) {
  const AgentOptions options;
  const ImagePolicy policy;
  const auto node = node_with(hints);
  const auto request = write_request(info("http://host/image", std::string(64, 'a'), nullptr), "",
                                     {options, policy, node});
  EXPECT_TRUE(request) << request.error().details;
  return request && request->target.hints.value().why_not(disk).empty();
}

TEST(Pitfall, N20SizesAndStringsOfHints) {
  EXPECT_TRUE(passes({{"size", "= 10"}}, disk_of(20 * GiB))) << "at least";
  EXPECT_FALSE(passes({{"size", "= 10"}}, disk_of(9 * GiB)));
  EXPECT_TRUE(passes({{"size", 10}}, disk_of(10 * GiB)));
  EXPECT_FALSE(passes({{"size", 10}}, disk_of(10 * GiB + MiB))) << "exactly";
  EXPECT_TRUE(passes({{"size", ">= 10"}}, disk_of(20 * GiB))) << "as Metal3 has it";
  disk::Disk disk = disk_of(10 * GiB);
  EXPECT_TRUE(passes({{"rotational", "false"}}, disk));
  EXPECT_FALSE(passes({{"rotational", "true"}}, disk));
  EXPECT_TRUE(passes({{"rotational", false}}, disk));
}

TEST(Pitfall, N21SerialsAndWwnsHaveVariants) {
  disk::Disk disk = disk_of(10 * GiB);
  disk.serial = "LSBLK";
  disk.udev_serial_short = "SHORT";
  disk.udev_serial = "VENDOR_MODEL_SHORT";
  disk.wwn = "0x5000c500";
  disk.udev_wwn = "0x5000c500aaaa";
  for (const auto* serial : {"lsblk", "s== SHORT", "VENDOR_MODEL_SHORT"})
    EXPECT_TRUE(passes({{"serial", serial}}, disk)) << serial;
  for (const auto* wwn : {"s== 0x5000c500", "0x5000C500AAAA"})
    EXPECT_TRUE(passes({{"wwn", wwn}}, disk)) << wwn;
  EXPECT_FALSE(passes({{"serial", "MODEL"}}, disk));
}

std::string config_drive() {
  const test::TempDir dir;
  test::run("mkdir -p " + dir.path("d/openstack/latest") + " && echo '{\"uuid\": \"u\"}' >" +
            dir.path("d/openstack/latest/meta_data.json") +
            " && genisoimage -quiet -R -V config-2 -o " + dir.path("iso") + " " + dir.path("d") +
            " && gzip -n " + dir.path("iso"));
  return test::run("base64 -w0 " + dir.path("iso.gz"));
}

// The last partition's bytes in a disk with sectors of that size, as blkid sees them.
std::string last_partition(const LoopDevice& disk, std::uint64_t& end) {
  const auto table = parse_json_object(test::run("sfdisk --json " + disk.path()));
  EXPECT_TRUE(table);
  const json::object& parts = table->at("partitiontable").as_object();
  const auto sector = static_cast<std::uint64_t>(integer_in(parts, "sectorsize").value_or(512));
  std::uint64_t start = 0, size = 0;
  for (const auto& part : parts.at("partitions").as_array())
    if (const auto at = static_cast<std::uint64_t>(*integer_in(part.as_object(), "start")) * sector;
        at >= start) {
      start = at;
      size = static_cast<std::uint64_t>(*integer_in(part.as_object(), "size")) * sector;
    }
  end = start + size;
  return test::run("blkid -p -o export -O " + std::to_string(start) + " -S " +
                   std::to_string(size) + " " + disk.path());
}

TEST(Pitfall, N22TheConfigDriveIsAtTheDisksEnd) {
  Deployment one("gpt", 128 * MiB);
  ASSERT_EQ(test::status_of(one.write(one.image.content(), "raw",
                                      {{"configdrive", json::value_from(config_drive())}})),
            "SUCCEEDED");
  std::uint64_t end = 0;
  const std::string found = last_partition(one.disk, end);
  EXPECT_NE(found.find("LABEL=config-2"), std::string::npos) << found;
  EXPECT_NE(found.find("TYPE=iso9660"), std::string::npos) << found;
  EXPECT_GE(end, 126 * MiB);
}

TEST(Pitfall, N22OnA4KnDiskItIsVfat) {
  const LoopDevice made(16 * MiB, 4096);
  test::run("printf 'label: gpt\\nstart=512,size=1024\\n' | sfdisk -q --no-reread " + made.path());
  const std::string content = test::content_of(made.backing());
  Deployment one("gpt", 128 * MiB, 4096);
  ASSERT_EQ(test::status_of(
                one.write(content, "raw", {{"configdrive", json::value_from(config_drive())}})),
            "SUCCEEDED");
  std::uint64_t end = 0;
  const std::string found = last_partition(one.disk, end);
  EXPECT_NE(found.find("LABEL=CONFIG-2"), std::string::npos) << found;
  EXPECT_NE(found.find("TYPE=vfat"), std::string::npos) << found;
}

TEST(Pitfall, N22ATooLargeConfigDriveCostsNoDisk) {
  Deployment one;
  test::run("head -c 4K /dev/zero | tr '\\0' x | dd of=" + one.disk.path() +
            " conv=fsync status=none");
  const test::TempDir dir;
  test::run("head -c 65M /dev/zero | gzip -n >" + dir.path("gz"));
  const auto record =
      one.write(one.image.content(), "raw",
                {{"configdrive", json::value_from(test::run("base64 -w0 " + dir.path("gz")))}});
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "DeploymentError");
  EXPECT_EQ(test::bytes_of(one.disk, 0, 4), "xxxx");
}

// There is no fix-up: the disk would not boot.
TEST(Pitfall, N23AGptOfAnotherSectorSizeIsRefused) {
  Deployment one("gpt", 32 * MiB, 4096);
  const auto record = one.write(one.image.content(), "raw");
  EXPECT_EQ(string_in(record, "command_status"), "FAILED");
  EXPECT_EQ(test::error_type(record), "DeploymentError");
  EXPECT_NE(test::error_details(record).find("device.sector-size"), std::string::npos)
      << test::error_details(record);
}

TEST(Pitfall, N24VmdkAndVdiAreNotPermittedByDefault) {
  Deployment one;
  for (const std::string format : {"vmdk", "vdi"}) {
    const std::string content = one.image.as(format);
    for (const json::value& declared : {json::value_from(format), json::value(nullptr)}) {
      const auto record = one.write(content, declared);
      EXPECT_EQ(test::error_type(record), "InvalidImage") << format;
      EXPECT_FALSE(has_data(one.disk));
    }
  }
}

TEST(Pitfall, N24AHybridIsoIsWrittenAsItIs) {
  Deployment one("dos");
  LookupAnswer answer;
  answer.uuid = "1be26c0b";
  answer.permitted_formats = {"raw", "gpt", "qcow2", "iso"};
  one.agent.node.adopt(answer);
  std::string content = one.image.content();
  content.replace(32769, 5, "CD001");
  ASSERT_EQ(test::status_of(one.write(content)), "SUCCEEDED");
  EXPECT_TRUE(has_data(one.disk));
  EXPECT_EQ(test::bytes_of(one.disk, 32769, 5), "CD001");
}

TEST(Pitfall, N25AnUndeclaredRawImageIsRaw) {
  for (const std::string label : {"gpt", "dos"}) {
    Deployment one(label);
    ASSERT_EQ(test::status_of(one.write(one.image.content())), "SUCCEEDED") << label;
    EXPECT_TRUE(has_data(one.disk));
  }
}

// The checksum is known after the write; until then the disk does not boot.
TEST(Pitfall, N26AWrongStreamLeavesNoBootableDisk) {
  Deployment one;
  ASSERT_EQ(test::status_of(one.write(one.image.content(), "raw")), "SUCCEEDED");
  const std::string content = one.image.content();
  ServedText server(content);
  const auto record = one.agent.step(
      "deploy", "write_image", {{"image_info", info(server.url(), std::string(64, 'f'), "raw")}},
      node_for(one.disk));
  EXPECT_EQ(test::error_type(record), "ImageChecksumError");
  EXPECT_EQ(test::bytes_of(one.disk, 0, MiB), std::string(MiB, '\0'));
  EXPECT_EQ(test::bytes_of(one.disk, 31 * MiB, MiB), std::string(MiB, '\0'));
}

// `list` is the checksum file of an image called "image".
json::object write_with_list(Deployment& one, const std::string& list) {
  const std::string content = one.image.content();
  test::FakeIronic server([&](const auto& request, std::size_t) {
    return HttpAnswer{.status = 200, .body = request.target == "/SUMS" ? list : content};
  });
  return one.agent.step(
      "deploy", "write_image",
      {{"image_info", info(server.url() + "/image", server.url() + "/SUMS", "raw")}},
      node_for(one.disk));
}

TEST(Pitfall, N27ChecksumFilesNameTheImage) {
  Deployment one;
  const std::string sum = one.image.sum_of(one.image.content(), "sha256sum");
  const std::string other(64, '0');
  for (const std::string& list :
       {sum + "\n", other + "  other\n" + sum + "  image\n",
        other + "  image2\n" + sum + " *image\n",
        "# a remark\nSHA256 (other) = " + other + "\nSHA256 (image) = " + sum + "\n"})
    EXPECT_EQ(test::status_of(write_with_list(one, list)), "SUCCEEDED") << list;
  for (const std::string& list :
       {std::string(), other + "  image\n", sum + "  image2\n" + other + "  myimage\n"})
    EXPECT_EQ(string_in(write_with_list(one, list), "command_status"), "FAILED") << list;
}

// Publishers write it, and nothing else can be meant: more than Ironic's own agent takes.
TEST(Pitfall, N27ADotBeforeTheNameIsNoOtherName) {
  Deployment one;
  const std::string sum = one.image.sum_of(one.image.content(), "sha256sum");
  EXPECT_EQ(test::status_of(
                write_with_list(one, sum + "  ./image\n" + std::string(64, '0') + "  ./other\n")),
            "SUCCEEDED");
}

}  // namespace
}  // namespace ingot::agent
