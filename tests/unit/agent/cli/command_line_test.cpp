// The command line's grammar: what it makes of words, and what it refuses.
#include "agent/cli/command_line.hpp"

#include <gtest/gtest.h>

namespace ingot::agent {
namespace {

const std::string kSum(64, 'a');

std::vector<std::string> write_words(std::vector<std::string> more) {
  std::vector<std::string> words = {"write",    "--image-url", "https://example.org/a.img",
                                    "--device", "/dev/sdx",    "--image-checksum",
                                    kSum};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Result<WriteOptions> parse_write(const std::vector<std::string>& words) {
  INGOT_TRY_ASSIGN(const Command command, parse_command_line(words));
  return std::get<WriteOptions>(command);
}

void expect_refused(const std::vector<std::string>& words, Errc code, const std::string& part) {
  const auto command = parse_command_line(words);
  ASSERT_FALSE(command) << part;
  EXPECT_EQ(command.error().code(), code) << command.error().message();
  EXPECT_NE(command.error().message().find(part), std::string::npos) << command.error().message();
  EXPECT_FALSE(command.error().advice().empty());
}

TEST(Cli, HintsTakeTheDevicesPlace) {
  const auto options = parse_write({"write", "--image-url", "https://a/x", "--image-checksum", kSum,
                                    "--root-device-hints", R"({"size": ">= 100"})", "--only-device",
                                    "/dev/sda", "--only-device", "/dev/sdb", "--force"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->request.target.device, "");
  ASSERT_TRUE(options->request.target.hints);
  EXPECT_FALSE(options->request.target.hints->empty());
  EXPECT_EQ(options->request.target.only, (std::vector<std::string>{"/dev/sda", "/dev/sdb"}));
  EXPECT_TRUE(options->request.target.force);
  EXPECT_FALSE(parse_write(write_words({}))->request.target.force);
}

TEST(Cli, EveryOptionArrives) {
  const auto options = parse_write({"write",
                                    "--image-url",
                                    "https://a/x",
                                    "--image-url",
                                    "https://b/x",
                                    "--device",
                                    "/dev/sdx",
                                    "--image-checksum",
                                    kSum,
                                    "--image-checksum-type",
                                    "sha256",
                                    "--image-format",
                                    "qcow2",
                                    "--allow-unrecognized",
                                    "--yes",
                                    "--dry-run",
                                    "--size",
                                    "20G",
                                    "--verify-readback",
                                    "--config-drive",
                                    "drive",
                                    "--progress",
                                    "json",
                                    "--memory-limit",
                                    "128M",
                                    "--scratch-dir",
                                    "/var/tmp",
                                    "--threads",
                                    "3",
                                    "--ca-cert",
                                    "ca",
                                    "--tls-insecure",
                                    "--proxy",
                                    "http://p:1",
                                    "--no-proxy",
                                    "b",
                                    "--user",
                                    "u",
                                    "--password-file",
                                    "pw",
                                    "--connect-timeout",
                                    "5",
                                    "--stall-timeout",
                                    "500ms",
                                    "--retry-deadline",
                                    "10m",
                                    "--report-url",
                                    "https://c/events",
                                    "--report-token-file",
                                    "t"});
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->request.image.urls, (std::vector<std::string>{"https://a/x", "https://b/x"}));
  EXPECT_EQ(options->request.target.device, "/dev/sdx");
  EXPECT_EQ(options->request.image.checksum.value_or_url, kSum);
  EXPECT_EQ(options->request.image.checksum.type, DigestType::sha256);
  EXPECT_EQ(options->request.image.format, imaging::ImageFormat::qcow2);
  EXPECT_TRUE(options->request.image.allow_unrecognized && options->request.target.yes &&
              options->request.target.dry_run);
  EXPECT_EQ(options->request.target.size, 20 * GiB);
  EXPECT_TRUE(options->request.verify_readback);
  EXPECT_EQ(options->request.config_drive.config_drive, "drive");
  EXPECT_EQ(options->reporting.progress, ProgressMode::json);
  EXPECT_EQ(options->request.resources.memory_limit, 128 * MiB);
  EXPECT_EQ(options->request.resources.scratch_dir, "/var/tmp");
  EXPECT_EQ(options->request.resources.threads, 3U);
  EXPECT_EQ(options->network.ca_file, "ca");
  EXPECT_TRUE(options->network.tls_insecure);
  EXPECT_EQ(options->network.proxy, "http://p:1");
  EXPECT_EQ(options->network.no_proxy, "b");
  EXPECT_EQ(options->network.user, "u");
  EXPECT_EQ(options->network.password_file, "pw");
  EXPECT_EQ(options->network.connect_timeout.count(), 5000);
  EXPECT_EQ(options->network.stall_timeout.count(), 500);
  EXPECT_EQ(options->network.retry_deadline.count(), 600'000);
  EXPECT_EQ(options->reporting.report_url, "https://c/events");
  EXPECT_EQ(options->reporting.report_token_file, "t");
}

TEST(Cli, DefaultsAreTheCautiousOnes) {
  const auto options = parse_write(write_words({}));
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_FALSE(options->request.target.yes || options->request.target.dry_run ||
               options->request.image.no_checksum_accepted ||
               options->request.image.allow_unrecognized || options->network.tls_insecure);
  EXPECT_FALSE(options->request.image.format || options->request.target.size ||
               options->request.image.checksum.type);
  EXPECT_EQ(options->reporting.progress, ProgressMode::automatic);
  EXPECT_EQ(options->request.resources.memory_limit, kDefaultMemoryLimit);
}

TEST(Cli, OneUrlForEachOption) {
  // Not greedy: what follows a URL is no second one.
  expect_refused({"write", "--image-url", "https://a/x", "https://b/x", "--device", "d",
                  "--insecure-no-checksum"},
                 Errc::usage_option, "b/x");
}

TEST(Cli, WhatIsMissingOrContradicts) {
  expect_refused({}, Errc::usage_option, "no command");
  expect_refused({"deploy"}, Errc::usage_option, "deploy");
  expect_refused({"write", "--device", "d"}, Errc::usage_option, "no image");
  expect_refused({"write", "--image-url", "https://a/x", "--image-checksum", kSum},
                 Errc::usage_option, "--device");
  expect_refused({"write", "--osimage", "m", "--image-url", "https://a/x", "--device", "d"},
                 Errc::usage_option, "--image-url and --osimage");
  expect_refused({"write", "--osimage", "m", "--image-checksum", kSum, "--device", "d"},
                 Errc::usage_option, "--image-checksum and --osimage");
  expect_refused({"write", "--osimage", "m", "--image-checksum-type", "md5", "--device", "d"},
                 Errc::usage_option, "--image-checksum-type and --osimage");
  const std::vector<std::string> hinted = {
      "write", "--image-url", "https://a/x", "--image-checksum", kSum, "--root-device-hints"};
  const auto with = [&hinted](std::vector<std::string> more) {
    std::vector<std::string> words = hinted;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  expect_refused(with({"{}", "--device", "d"}), Errc::usage_option, "exclude each other");
  expect_refused(with({"{}", "--size", "1G"}), Errc::usage_option, "--size");
  expect_refused(with({"sda"}), Errc::usage_hints, "JSON");
  expect_refused(with({R"({"colour": "blue"})"}), Errc::usage_hints, "colour");
  expect_refused(write_words({"--only-device", "/dev/sda"}), Errc::usage_option, "--only-device");
  expect_refused(write_words({"--user", "u"}), Errc::usage_option, "--password-file");
  expect_refused(write_words({"--report-token-file", "t"}), Errc::usage_option, "--report-url");
  expect_refused(write_words({"--report-url", "ftp://c"}), Errc::usage_option, "--report-url");
  expect_refused(write_words({"--progress", "fancy"}), Errc::usage_option, "fancy");
  expect_refused(write_words({"--image-format", "iso"}), Errc::usage_option, "iso");
  expect_refused(write_words({"--threads", "0"}), Errc::usage_option, "--threads");
  expect_refused(write_words({"--threads", "17"}), Errc::usage_option, "--threads");
  expect_refused(write_words({"--threads", "-1"}), Errc::usage_option, "--threads");
  expect_refused(write_words({"--size", "0"}), Errc::usage_option, "--size");
  expect_refused(write_words({"--size", "9000000T"}), Errc::usage_option, "--size");
  expect_refused(write_words({"--memory-limit", "31M"}), Errc::usage_option, "--memory-limit");
  expect_refused(write_words({"--proxy", ""}), Errc::usage_option, "--proxy");
  expect_refused(write_words({"--yes", "--device", "/dev/sdy"}), Errc::usage_option, "--device");
  expect_refused(write_words({"--config-drive", "a", "--user-data", "b"}), Errc::usage_option,
                 "--user-data and --config-drive");
}

TEST(Cli, ChecksumsAreJudgedAtOnce) {
  const std::vector<std::string> bare = {"write", "--image-url", "https://a/x", "--device", "d"};
  expect_refused(bare, Errc::usage_checksum, "no checksum");
  const auto with = [&bare](std::vector<std::string> more) {
    auto words = bare;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  EXPECT_TRUE(parse_write(with({"--insecure-no-checksum"})));
  EXPECT_TRUE(parse_write(with({"--image-checksum", "https://a/SHA256SUMS"})));
  expect_refused(with({"--image-checksum", "abc"}), Errc::usage_checksum, "");
  expect_refused(with({"--image-checksum", kSum, "--image-checksum-type", "md5"}),
                 Errc::usage_checksum, "");
  expect_refused(with({"--image-checksum", kSum, "--image-checksum-type", "crc"}),
                 Errc::usage_checksum, "crc");
  expect_refused(with({"--image-checksum-type", "md5", "--insecure-no-checksum"}),
                 Errc::usage_option, "--image-checksum-type");
}

TEST(Cli, WhereTheAgentListens) {
  const auto listen = [](const std::string& where) -> Result<AgentCommandOptions> {
    INGOT_TRY_ASSIGN(const Command command, parse_command_line({"agent", "--listen", where}));
    return std::get<AgentCommandOptions>(command);
  };
  for (const auto& [where, address] :
       {std::pair("192.0.2.7:99", "192.0.2.7"), std::pair("[2001:db8::7]:99", "2001:db8::7"),
        std::pair("[fe80::1%eth0]:99", "fe80::1%eth0"), std::pair(":99", "")}) {
    const auto options = listen(where);
    ASSERT_TRUE(options) << options.error().message();
    EXPECT_EQ(options->listen_address, address);
    EXPECT_EQ(options->listen_port, 99);
  }
  for (const std::string where : {"rubbish", "192.0.2.7", "192.0.2.7:99999", "192.0.2.7:"})
    expect_refused({"agent", "--listen", where}, Errc::usage_option, "ADDR:PORT");
  for (const std::string where : {"localhost:99", "1.2.3:99", "[x%eth0]:99"})
    expect_refused({"agent", "--listen", where}, Errc::usage_option, "is no IP address");
  for (const char* command : {"agent", "provision"})
    expect_refused({command, "--mac", "52:54:00:aa:00:0g"}, Errc::usage_option,
                   "is no MAC address");
  const auto dashed = parse_command_line({"agent", "--mac", "52-54-00-AA-00-01"});
  ASSERT_TRUE(dashed) << dashed.error().message();
  EXPECT_EQ(std::get<AgentCommandOptions>(*dashed).macs,
            std::vector<std::string>{"52:54:00:aa:00:01"});
}

TEST(Cli, RefusalsKeepSecrets) {
  for (const auto& words :
       {write_words({"https://me:hunter2@example.org/x"}),
        write_words({"--nonsense=https://me:hunter2@example.org/x"}),
        std::vector<std::string>{"https://me:hunter2@example.org/x"},
        std::vector<std::string>{"image-info", "a", "https://x.org/?sig=hunter2"}}) {
    const auto command = parse_command_line(words);
    ASSERT_FALSE(command);
    EXPECT_EQ(command.error().message().find("hunter2"), std::string::npos)
        << command.error().message();
  }
}

TEST(Cli, HelpTeaches) {
  const auto text = [](const std::vector<std::string>& words) {
    const auto command = parse_command_line(words);
    return command ? std::get<ShowText>(*command).text : command.error().message();
  };
  EXPECT_EQ(text({"--version"}).rfind("ingot ", 0), 0U);
  const std::string top = text({"--help"});
  for (const char* part : {"write", "image-info", "resolve", "Exit codes:", "9    access", "130"})
    EXPECT_NE(top.find(part), std::string::npos) << part;
  const std::string help = text({"write", "--help"});
  for (const char* part : {"Examples:", "Environment:", "Exit codes:", "--osimage", "--image-url",
                           "--report-url", "https_proxy", "SHA256SUMS"})
    EXPECT_NE(help.find(part), std::string::npos) << part;
  EXPECT_NE(text({"image-info", "--help"}).find("Examples:"), std::string::npos);
}

TEST(Cli, ImageInfo) {
  const auto command = parse_command_line({"image-info", "a.img", "-o", "json"});
  ASSERT_TRUE(command) << command.error().message();
  EXPECT_EQ(std::get<ImageInfoOptions>(*command).image, "a.img");
  EXPECT_TRUE(std::get<ImageInfoOptions>(*command).json);
  expect_refused({"image-info"}, Errc::usage_option, "no image");
  expect_refused({"image-info", "a", "-o", "xml"}, Errc::usage_option, "xml");
}

TEST(Cli, Resolve) {
  const auto command = parse_command_line({"resolve", "--catalog", "c", "--machine", "m.yaml",
                                           "--node-type", "large", "--user", "me", "--team", "a",
                                           "--team", "b", "--for", "ironic", "-o", "json"});
  ASSERT_TRUE(command) << command.error().message();
  const auto& options = std::get<ResolveOptions>(*command);
  EXPECT_EQ(options.catalog, "c");
  EXPECT_EQ(options.machine, "m.yaml");
  EXPECT_EQ(options.node_type, "large");
  EXPECT_EQ(options.user, "me");
  EXPECT_EQ(options.teams, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.target, ResolveOptions::For::ironic);
  EXPECT_EQ(options.provider, "metal3");
  EXPECT_TRUE(options.json);
  const auto from_api = parse_command_line(
      {"resolve", "--catalog", "kubeconfig:", "--osimage", "a", "--kubeconfig", "k", "--context",
       "c", "--token-file", "t", "--client-cert", "x", "--client-key", "y", "--ca-cert", "z"});
  ASSERT_TRUE(from_api) << from_api.error().message();
  const auto& api = std::get<ResolveOptions>(*from_api).api;
  EXPECT_EQ(api.kubeconfig + api.context + api.token_file + api.client_cert_file +
                api.client_key_file + api.ca_file,
            "kctxyz");
  EXPECT_FALSE(api.tls_insecure);
  expect_refused({"resolve", "--osimage", "a"}, Errc::usage_option, "--catalog");
  expect_refused({"resolve", "--catalog", "c"}, Errc::usage_option, "nothing to resolve");
  expect_refused({"resolve", "--catalog", "c", "--osimage", "a", "--machine", "m"},
                 Errc::usage_option, "alone");
  expect_refused({"resolve", "--catalog", "c", "--osimage", "a", "-o", "text"}, Errc::usage_option,
                 "neither yaml nor json");
  expect_refused({"resolve", "--catalog", "c", "--osimage", "a", "--for", "maas"},
                 Errc::usage_option, "deploy-request, metal3, ironic");
}

TEST(Cli, JsonProgressIsSeenInWrongCommandLines) {
  EXPECT_TRUE(asks_for_json_progress({"write", "--nonsense", "--progress", "json"}));
  EXPECT_TRUE(asks_for_json_progress({"write", "--progress=json", "--nonsense"}));
  EXPECT_FALSE(asks_for_json_progress({"write", "--progress", "bar", "json"}));
  EXPECT_FALSE(asks_for_json_progress({"write", "--progress"}));
}

}  // namespace
}  // namespace ingot::agent
