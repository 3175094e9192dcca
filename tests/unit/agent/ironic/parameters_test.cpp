// Parameters: from the kernel command line, from a configuration file.
#include "agent/ironic/parameters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";

AgentOptions from(const std::string& line) {
  AgentOptions options;
  EXPECT_THAT(apply_kernel_command_line(options, line), IsEmpty()) << line;
  return options;
}

std::vector<std::string> problems(const std::string& line) {
  AgentOptions options;
  return apply_kernel_command_line(options, line);
}

TEST(KernelCommandLine, Defaults) {
  const AgentOptions options = from("");
  EXPECT_THAT(options.api_urls, IsEmpty());
  EXPECT_EQ(options.listen_port, 9999);
  EXPECT_EQ(options.agent_token, "");
  EXPECT_EQ(options.lookup_timeout, seconds(600));
  EXPECT_EQ(options.lookup_interval, seconds(1));
  EXPECT_EQ(options.http_request_timeout, seconds(30));
  EXPECT_EQ(options.hardware_delay, seconds(0));
  EXPECT_EQ(options.disk_wait_attempts, 10U);
  EXPECT_EQ(options.disk_wait_delay, seconds(3));
  EXPECT_EQ(options.dhcp_wait, seconds(60));
  EXPECT_EQ(options.lldp_timeout, seconds(30));
  EXPECT_TRUE(options.auto_tls);
  EXPECT_TRUE(options.guard_special_filesystems);
  for (const bool off :
       {options.api_by_mdns, options.inspection_by_mdns, options.tls_insecure, options.listen_tls,
        options.ignore_boot_loader_failure, options.dhcp_wait_all, options.collect_lldp,
        options.virtual_media, options.allow_power, options.debug})
    EXPECT_FALSE(off);
  EXPECT_EQ(options.power, PowerMode::real);
}

TEST(KernelCommandLine, EachParameter) {
  const AgentOptions o = from(
      "ipa-api-url=http://172.22.0.2:6385 "
      "ipa-inspection-callback-url=https://172.22.0.2:5050/v1/continue "
      "ipa-inspection-collectors=default,logs ipa-inspection-dhcp-wait-timeout=0 "
      "ipa-inspection-dhcp-all-interfaces=1 ipa-collect-lldp=1 ipa-lldp-timeout=30.0 "
      "ipa-agent-token=" +
      kToken +
      " ipa-insecure=1 ipa-listen-host=192.0.2.7 ipa-listen-port=9998 "
      "ipa-advertise-host=198.51.100.1 ipa-advertise-port=443 ipa-advertise-protocol=https "
      "ipa-network-interface=eno1 ipa-lookup-timeout=300 ipa-lookup-interval=2 "
      "ipa-http-request-timeout=10 ipa-hardware-initialization-delay=5 "
      "ipa-disk-wait-attempts=20 ipa-disk-wait-delay=1 ipa-global-request-id=req-1 "
      "ipa-ironic-api-version=1.68 ipa-guard-special-filesystems=false "
      "ipa-ignore-bootloader-failure=True ipa-tls-min-version=1.3 "
      "ipa-tls-cipher-suites=ECDHE-RSA-AES256-GCM-SHA384 ipa-debug=1 "
      "BOOTIF=01-52-54-00-aa-bb-01 boot_method=vmedia ingot.allow-power=1");
  EXPECT_THAT(o.api_urls, ElementsAre("http://172.22.0.2:6385"));
  EXPECT_THAT(o.inspection_callback_urls, ElementsAre("https://172.22.0.2:5050/v1/continue"));
  EXPECT_THAT(o.inspection_collectors, ElementsAre("default", "logs"));
  EXPECT_EQ(o.dhcp_wait, seconds(0));
  EXPECT_TRUE(o.dhcp_wait_all);
  EXPECT_TRUE(o.collect_lldp);
  EXPECT_EQ(o.lldp_timeout, seconds(30));
  EXPECT_EQ(o.agent_token, kToken);
  EXPECT_TRUE(o.tls_insecure);
  EXPECT_EQ(o.listen_address, "192.0.2.7");
  EXPECT_EQ(o.listen_port, 9998);
  EXPECT_EQ(o.advertise_host, "198.51.100.1");
  EXPECT_EQ(o.advertise_port, 443);
  EXPECT_EQ(o.advertise_protocol, "https");
  EXPECT_EQ(o.network_interface, "eno1");
  EXPECT_EQ(o.lookup_timeout, seconds(300));
  EXPECT_EQ(o.lookup_interval, seconds(2));
  EXPECT_EQ(o.http_request_timeout, seconds(10));
  EXPECT_EQ(o.hardware_delay, seconds(5));
  EXPECT_EQ(o.disk_wait_attempts, 20U);
  EXPECT_EQ(o.disk_wait_delay, seconds(1));
  EXPECT_EQ(o.global_request_id, "req-1");
  EXPECT_EQ(o.api_version, "1.68");
  EXPECT_FALSE(o.guard_special_filesystems);
  EXPECT_TRUE(o.ignore_boot_loader_failure);
  EXPECT_EQ(o.tls_min_version, "1.3");
  EXPECT_EQ(o.tls_cipher_suites, "ECDHE-RSA-AES256-GCM-SHA384");
  EXPECT_TRUE(o.debug);
  EXPECT_EQ(o.boot_interface, "01-52-54-00-aa-bb-01");
  EXPECT_TRUE(o.virtual_media);
  EXPECT_TRUE(o.allow_power);
}

TEST(KernelCommandLine, TheLastOfTwoCounts) {
  EXPECT_THAT(from("ipa-api-url=http://a ipa-api-url=http://b").api_urls, ElementsAre("http://b"));
  EXPECT_FALSE(from("ipa-debug=1 ipa-debug=0").debug);
  EXPECT_FALSE(from("boot_method=vmedia boot_method=network").virtual_media);
}

TEST(KernelCommandLine, SplitAtAnyBlankAndTheFirstEquals) {
  const AgentOptions o =
      from("\t ipa-api-url=http://a/x?y=z\n\nBOOTIF=aa:bb:cc:dd:ee:ff\r\n\vipa-debug=on\f");
  EXPECT_THAT(o.api_urls, ElementsAre("http://a/x?y=z"));
  EXPECT_EQ(o.boot_interface, "aa:bb:cc:dd:ee:ff");
  EXPECT_TRUE(o.debug);
}

TEST(KernelCommandLine, WhatIsSomebodyElsesDoesNotMatter) {
  const AgentOptions o = from(
      "BOOT_IMAGE=/vmlinuz root=/dev/ram0 ip=dhcp systemd.journald.forward_to_console=yes nofb "
      "nomodeset vga=normal sshkey=\"ssh-rsa AAA= x\" fips=0 ir_pub_id=7 text ipa-debug ipa- = "
      "ipa-=1 =x ipa-unknown-thing=1 ipa-ntp-server=pool.ntp.org ingot.other=1 quiet");
  EXPECT_FALSE(o.debug) << "a word without = is no parameter";
  EXPECT_THAT(o.api_urls, IsEmpty());
}

TEST(KernelCommandLine, NoQuoting) {
  EXPECT_EQ(from("ipa-global-request-id=\"a b\"").global_request_id, "\"a");
}

TEST(KernelCommandLine, Booleans) {
  for (const auto* yes : {"1", "true", "True", "TRUE", "yes", "on", "On"})
    EXPECT_TRUE(from("ipa-insecure=" + std::string(yes)).tls_insecure) << yes;
  for (const auto* no : {"0", "false", "False", "no", "off", "OFF"})
    EXPECT_FALSE(from("ipa-guard-special-filesystems=" + std::string(no)).guard_special_filesystems)
        << no;
  for (const auto* bad : {"", "2", "maybe", "truefalse"})
    EXPECT_EQ(problems("ipa-insecure=" + std::string(bad)).size(), 1U) << bad;
}

TEST(KernelCommandLine, Urls) {
  EXPECT_THAT(from("ipa-api-url=http://a:6385/,https://b/baremetal//").api_urls,
              ElementsAre("http://a:6385", "https://b/baremetal"));
  const AgentOptions mdns = from("ipa-api-url=mdns ipa-inspection-callback-url=mDNS");
  EXPECT_TRUE(mdns.api_by_mdns);
  EXPECT_TRUE(mdns.inspection_by_mdns);
  EXPECT_THAT(mdns.api_urls, IsEmpty());
}

TEST(KernelCommandLine, OnlyOneWordAllowsPower) {
  for (const auto* no : {"true", "0", "yes", "11", ""})
    EXPECT_FALSE(from("ingot.allow-power=" + std::string(no)).allow_power) << no;
}

TEST(KernelCommandLine, AWrongValueLeavesTheParameterAsItWas) {
  AgentOptions options;
  options.api_urls = {"http://before"};
  const auto told = apply_kernel_command_line(
      options,
      "ipa-api-url=ftp://S3CR3T ipa-listen-port=99999 ipa-lookup-timeout=-1 "
      "ipa-lookup-interval=1e3 ipa-http-request-timeout=86401 ipa-lldp-timeout=30.S3CR3T "
      "ipa-disk-wait-attempts=1001 ipa-tls-min-version=1.1 ipa-advertise-protocol=gopher "
      "ipa-agent-token=S3CR3T ipa-debug=S3CR3T");
  EXPECT_EQ(told.size(), 11U);
  for (const auto& problem : told) {
    EXPECT_EQ(problem.find("S3CR3T"), std::string::npos) << problem;
    EXPECT_TRUE(problem.starts_with("ipa-")) << problem;
  }
  const AgentOptions untouched;
  EXPECT_THAT(options.api_urls, ElementsAre("http://before"));
  EXPECT_EQ(options.listen_port, untouched.listen_port);
  EXPECT_EQ(options.lookup_timeout, untouched.lookup_timeout);
  EXPECT_EQ(options.lookup_interval, untouched.lookup_interval);
  EXPECT_EQ(options.http_request_timeout, untouched.http_request_timeout);
  EXPECT_EQ(options.lldp_timeout, untouched.lldp_timeout);
  EXPECT_EQ(options.disk_wait_attempts, untouched.disk_wait_attempts);
  EXPECT_EQ(options.tls_min_version, "");
  EXPECT_EQ(options.advertise_protocol, "");
  EXPECT_EQ(options.agent_token, "");
  EXPECT_FALSE(options.debug);
}

TEST(KernelCommandLine, Numbers) {
  EXPECT_EQ(from("ipa-listen-port=0").listen_port, 0);
  EXPECT_EQ(from("ipa-lldp-timeout=5.75").lldp_timeout, seconds(5));
  EXPECT_EQ(from("ipa-lookup-timeout=86400").lookup_timeout, seconds(86'400));
  for (const auto* bad :
       {"", ".", ".5", "5.x", "5.5.5", "0x10", " 5", "+5", "99999999999999999999"})
    EXPECT_THAT(problems("ipa-lookup-timeout=" + std::string(bad)), testing::SizeIs(1)) << bad;
}

TEST(ApiUrls, WhatIsNone) {
  for (const auto* text : {"", ",", "http://", "https:///", "ftp://a", "a:6385", "//a",
                           "http://a,b", "file:///etc/passwd"}) {
    const auto urls = parse_api_urls(text);
    ASSERT_FALSE(urls) << text;
    EXPECT_EQ(urls.error().code(), Errc::usage_option);
  }
  const auto hidden = parse_api_urls("ftp://u:S3CR3T@a");
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().message().find("S3CR3T"), std::string::npos);
  EXPECT_THAT(parse_api_urls(" HTTP://a , ,https://b/ ").value(),
              ElementsAre("HTTP://a", "https://b"));
}

class ConfigFile : public testing::Test {
 protected:
  Result<std::vector<std::string>> apply(const std::string& content) {
    std::ofstream(dir_.path("agent.conf"), std::ios::binary) << content;
    return apply_config_file(options_, dir_.path("agent.conf"));
  }
  const test::TempDir dir_;
  AgentOptions options_;
};

TEST_F(ConfigFile, UnderscoreNamesInTheDefaultSection) {
  const auto told = apply(
      "# made by virtual media\n[DEFAULT]\napi_url = https://[2001:db8::1]:6385/\n"
      "cafile=/etc/ironic-python-agent/ironic.crt\ninsecure = False\n\n; a comment\n"
      "certfile = /c\nkeyfile = /k\nlisten_tls = true\ntls_cert_file = /tc\ntls_key_file = /tk\n"
      "enable_auto_tls = no\nagent_token = " +
      kToken + "\nuse_mdns = on\n[metrics]\nbackend = noop\ninsecure = True\n");
  ASSERT_TRUE(told) << told.error().message();
  EXPECT_THAT(*told, IsEmpty());
  EXPECT_THAT(options_.api_urls, ElementsAre("https://[2001:db8::1]:6385"));
  EXPECT_EQ(options_.ca_file, "/etc/ironic-python-agent/ironic.crt");
  EXPECT_FALSE(options_.tls_insecure) << "another section's";
  EXPECT_EQ(options_.client_cert_file, "/c");
  EXPECT_EQ(options_.client_key_file, "/k");
  EXPECT_TRUE(options_.listen_tls);
  EXPECT_EQ(options_.listen_cert_file, "/tc");
  EXPECT_EQ(options_.listen_key_file, "/tk");
  EXPECT_FALSE(options_.auto_tls);
  EXPECT_EQ(options_.agent_token, kToken);
  EXPECT_TRUE(options_.api_by_mdns);
}

TEST_F(ConfigFile, AnEmptyOneChangesNothing) {
  for (const auto* content : {"", "\n\n", "# only a comment\n", "[DEFAULT]\n", "[other]\nx = y\n"})
    EXPECT_TRUE(apply(content)) << content;
  EXPECT_THAT(options_.api_urls, IsEmpty());
}

TEST_F(ConfigFile, AWrongValueIsToldWithItsFile) {
  const auto told = apply("[DEFAULT]\nlisten_port = S3CR3T\nagent_token = S3CR3T\n");
  ASSERT_TRUE(told);
  ASSERT_EQ(told->size(), 2U);
  for (const auto& problem : *told) {
    EXPECT_NE(problem.find(dir_.path("agent.conf")), std::string::npos) << problem;
    EXPECT_EQ(problem.find("S3CR3T"), std::string::npos) << problem;
  }
}

TEST_F(ConfigFile, MalformedOnesNameTheLine) {
  const auto told = apply("[DEFAULT]\ndebug = 1\nS3CR3T\n");
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code(), Errc::usage_option);
  EXPECT_NE(told.error().message().find("line 3"), std::string::npos) << told.error().message();
  EXPECT_EQ(told.error().message().find("S3CR3T"), std::string::npos);
  EXPECT_FALSE(apply("[DEFAULT\n"));
  EXPECT_FALSE(apply(std::string(1000, '\0')));
}

TEST_F(ConfigFile, UnreadableOnes) {
  for (const std::string& path : {dir_.path("none"), dir_.path(".")}) {
    const auto told = apply_config_file(options_, path);
    ASSERT_FALSE(told) << path;
    EXPECT_EQ(told.error().code(), Errc::usage_option);
  }
  EXPECT_FALSE(apply("[DEFAULT]\n" + std::string(2U << 20, '#')));
}

}  // namespace
}  // namespace ingot::agent
