// Answers as Avahi 0.8 and systemd-resolved 252 gave them to a service on another machine, and what
// a stranger in the network could make of them. tests/integration/test_mdns.py asks a real Avahi.
#include "agent/ironic/mdns.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <string>
#include <thread>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr std::string_view kAvahi =
    "+;eth7;IPv6;Ironic\\032API\\059\\032here;_openstack._tcp;local\n"
    "+;eth7;IPv6;baremetal;_openstack._tcp;local\n"
    "+;eth7;IPv4;baremetal;_openstack._tcp;local\n"
    "=;eth7;IPv6;Ironic\\032API\\059\\032here;_openstack._tcp;local;conductor.local;fd00::1;6385;"
    "\"protocol=http\" \"path=/other\"\n"
    "=;eth7;IPv6;baremetal;_openstack._tcp;local;conductor.local;fd00::1;6385;"
    "\"y=\\255\\001\" \"x=\\\"q\\\\z\" \"ipa_ntp_server=a;b\" \"protocol=http\" "
    "\"path=/baremetal\"\n"
    "=;eth7;IPv4;baremetal;_openstack._tcp;local;conductor.local;192.0.2.1;6385;"
    "\"y=\\255\\001\" \"x=\\\"q\\\\z\" \"ipa_ntp_server=a;b\" \"protocol=http\" "
    "\"path=/baremetal\"\n";

constexpr std::string_view kResolved =
    R"({"type":"a(qqqsa(iiay)s)aayssst","data":[[[0,0,6385,"conductor.local",)"
    R"([[2,2,[192,0,2,1]],[2,10,[253,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]]],"conductor.local"]],)"
    R"([[112,97,116,104,61,47,98,97,114,101,109,101,116,97,108],[112,114,111,116,111,99,111,108,61,)"
    R"(104,116,116,112],[105,112,97,95,110,116,112,95,115,101,114,118,101,114,61,97,59,98],)"
    R"([120,61,34,113,92,122],[121,61,255,1]],"baremetal","_openstack._tcp","local",1048584]})";

const auto kEverywhere = [](const std::string&) { return true; };
const auto kNowhere = [](const std::string&) { return false; };

AnnouncedService service(std::string host, std::uint16_t port,
                         std::vector<std::string> addresses = {"192.0.2.1"}) {
  return {std::move(host), port, std::move(addresses), {}};
}

AnnouncedService with(std::string name, std::string value) {
  AnnouncedService out = service("conductor.local", 6385);
  out.properties.emplace(std::move(name), std::move(value));
  return out;
}

TEST(AvahiAnswer, TheNamedServiceWithAllItsAddresses) {
  const auto found = read_avahi_answer(kAvahi, "baremetal");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "conductor.local");
  EXPECT_EQ(found->port, 6385);
  EXPECT_THAT(found->addresses, ElementsAre("fd00::1", "192.0.2.1"));
  EXPECT_THAT(found->properties,
              ElementsAre(Pair("ipa_ntp_server", "a;b"), Pair("path", "/baremetal"),
                          Pair("protocol", "http"), Pair("x", "\"q\\z"), Pair("y", "\xff\x01")));
  EXPECT_FALSE(read_avahi_answer(kAvahi, "baremetal-introspection"));
  EXPECT_FALSE(read_avahi_answer("", "baremetal"));
}

TEST(AvahiAnswer, OfTwoHostsTheFirst) {
  const auto found = read_avahi_answer(
      "=;a;IPv4;Baremetal;_openstack._tcp;local;one.local;192.0.2.1;6385;\"path=/1\"\n"
      "=;b;IPv4;baremetal;_openstack._tcp;local;two.local;192.0.2.2;6385;\"path=/2\"\n"
      "=;b;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.3;80;\"path=/3\"\n",
      "baremetal");
  ASSERT_TRUE(found);
  EXPECT_THAT(found->addresses, ElementsAre("192.0.2.1"));
  EXPECT_THAT(found->properties, ElementsAre(Pair("path", "/1")));
}

TEST(AvahiAnswer, WhatIsNoneIsNothing) {
  for (const char* line :
       {"=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;0;\n",
        "=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;65536;\n",
        "=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;-1;\n",
        "=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;\n",
        "=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1\n",
        "=;a;IPv4;baremetal;_http._tcp;local;one.local;192.0.2.1;80;\n", "=;", "=;;;;;;;;;;;;;\n",
        "+;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;6385;\n"})
    EXPECT_FALSE(read_avahi_answer(line, "baremetal")) << line;
}

TEST(AvahiAnswer, DamagedPropertiesEndTheRecord) {
  const std::string front =
      "=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.1;6385;\"a=1\" ";
  for (const char* rest : {"\"b=2", "\"b=\\", "\"b=\\25", "b=2\"", "\"b=\\999\"", "", "\\"}) {
    const auto found = read_avahi_answer(front + rest, "baremetal");
    ASSERT_TRUE(found) << rest;
    EXPECT_THAT(found->properties, ElementsAre(Pair("a", "1"))) << rest;
  }
  const auto odd =
      read_avahi_answer(front + "\"flag\" \"=empty\" \"UP=x=y\" \"none=\"", "baremetal");
  EXPECT_THAT(odd->properties, ElementsAre(Pair("a", "1"), Pair("none", ""), Pair("up", "x=y")));
}

TEST(AvahiAnswer, HasBounds) {
  std::string many, texts;
  for (int i = 0; i < 200; ++i) texts += fmt::format("\"k{}=v\" ", i);
  for (int i = 0; i < 200; ++i)
    many += fmt::format("=;a;IPv4;baremetal;_openstack._tcp;local;one.local;192.0.2.{};1;{}\n", i,
                        texts);
  const auto found = read_avahi_answer(many, "baremetal");
  EXPECT_THAT(found->addresses, SizeIs(16));
  EXPECT_THAT(found->properties, SizeIs(64));
}

TEST(ResolvedAnswer, ServiceWithAddressesAndProperties) {
  const auto found = read_resolved_answer(kResolved);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "conductor.local");
  EXPECT_EQ(found->port, 6385);
  EXPECT_THAT(found->addresses, ElementsAre("192.0.2.1", "fd00::1"));
  EXPECT_THAT(found->properties,
              ElementsAre(Pair("ipa_ntp_server", "a;b"), Pair("path", "/baremetal"),
                          Pair("protocol", "http"), Pair("x", "\"q\\z"), Pair("y", "\xff\x01")));
}

TEST(ResolvedAnswer, TheLowestPriorityCounts) {
  const auto found = read_resolved_answer(
      R"({"data":[[[9,0,1,"nine.local",[],""],[1,0,2,"one.local",[],""],[1,0,3,"later.local",[],""]],[]]})");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "one.local");
}

TEST(ResolvedAnswer, WhatIsNoneIsNothing) {
  for (const char* text :
       {"", "[]", "{}", R"({"data":1})", R"({"data":[]})", R"({"data":[1]})", R"({"data":[[1]]})",
        R"({"data":[[[]]]})", R"({"data":[[[0,0,0,"h.local",[],""]]]})",
        R"({"data":[[[0,0,65536,"h.local",[],""]]]})", R"({"data":[[[0,0,-1,"h.local",[],""]]]})",
        R"({"data":[[[0,0,"80","h.local",[],""]]]})", R"({"data":[[[0,0,80,1,[],""]]]})",
        R"({"data":[[["0",0,80,"h.local",[],""]]]})", R"({"data":[[[0,0,80,"h.local"]]]})",
        R"({"data":[[[0,0,80,"h.local",{},""]]]})", "Call failed: no such name"})
    EXPECT_FALSE(read_resolved_answer(text)) << text;
  const auto odd = read_resolved_answer(
      R"({"data":[[[0,0,80,"h.local",[1,[2],[2,2,[1,2,3]],[2,2,[1,2,3,256]],[2,2,"x"],[2,2,[1,2,3,4]]],""]],[1,[256],["x"],[97],[97,61,98]]]})");
  ASSERT_TRUE(odd);
  EXPECT_THAT(odd->addresses, ElementsAre("1.2.3.4"));
  EXPECT_THAT(odd->properties, ElementsAre(Pair("a", "b")));
}

TEST(AnnouncedUrl, ProtocolHostAndPath) {
  EXPECT_EQ(announced_url(service("conductor.local", 80), kEverywhere), "http://192.0.2.1:80");
  EXPECT_EQ(announced_url(service("conductor.LOCAL.", 6385), kEverywhere),
            "https://192.0.2.1:6385");
  EXPECT_EQ(announced_url(service("Ironic.example.org.", 443), kNowhere),
            "https://ironic.example.org:443");
  EXPECT_EQ(announced_url(with("protocol", "http"), kEverywhere), "http://192.0.2.1:6385");
  EXPECT_EQ(announced_url(with("path", "/baremetal/"), kEverywhere),
            "https://192.0.2.1:6385/baremetal");
}

TEST(AnnouncedUrl, TheFirstAddressWithARoute) {
  const AnnouncedService many = service(
      "c.local", 80,
      {"127.0.0.1", "::1", "fe80::1", "169.254.1.1", "rubbish", "", "fd00::1", "192.0.2.1"});
  EXPECT_EQ(announced_url(many, kEverywhere), "http://[fd00::1]:80");
  EXPECT_EQ(announced_url(many, [](const std::string& address) { return address == "192.0.2.1"; }),
            "http://192.0.2.1:80");
  EXPECT_EQ(announced_url(many, kNowhere), "http://[fd00::1]:80");
  for (const char* none : {"127.0.0.1", "fe80::1", "0.0.0.0", "::", "ff02::1", "192.0.2.1x", "x"})
    EXPECT_EQ(announced_url(service("c.local", 80, {none}), kEverywhere).error().code(),
              Errc::controller_refused)
        << none;
}

TEST(AnnouncedUrl, NothingThatIsNoUrl) {
  for (const char* path :
       {"baremetal", "/a b", "/a?x=1", "/a#b", "/a,http://192.0.2.66", "/a\n", "/\xff", "@evil/"})
    EXPECT_FALSE(announced_url(with("path", path), kEverywhere)) << path;
  EXPECT_FALSE(announced_url(with("path", "/" + std::string(1024, 'a')), kEverywhere));
  for (const char* protocol : {"ftp", "file", "HTTP", "http://evil/"})
    EXPECT_FALSE(announced_url(with("protocol", protocol), kEverywhere)) << protocol;
  for (const char* host : {"", ".", "-x.org", "a b.org", "a/b", "a@b", "a,b", "\xc3\xa4.org"})
    EXPECT_FALSE(announced_url(service(host, 80), kEverywhere)) << host;
  EXPECT_FALSE(announced_url(service(std::string(254, 'a'), 80), kEverywhere));
  EXPECT_FALSE(announced_url(service("c.local", 0), kEverywhere));
}

TEST(AnnouncedOptions, OneAndNoOther) {
  AgentOptions options;
  options.inspection_by_mdns = true;
  AnnouncedService all = with("ipa_inspection_callback_url", "http://192.0.2.9/v1/continue");
  all.properties.emplace("ipa_insecure", "1");
  all.properties.emplace("ipa_agent_token", std::string(40, 't'));
  EXPECT_THAT(apply_announced_options(options, all), IsEmpty());
  EXPECT_THAT(options.inspection_callback_urls, ElementsAre("http://192.0.2.9/v1/continue"));
  EXPECT_FALSE(options.inspection_by_mdns);
  EXPECT_FALSE(options.tls_insecure);
  EXPECT_THAT(options.agent_token, IsEmpty());
}

TEST(AnnouncedOptions, ThatAreNoneAreSaidAndIgnored) {
  AgentOptions options;
  for (const char* value : {"ftp://x", "mdns", "http://", "http://x ipa-insecure=1", "http://x\n",
                            "http://\x1b[2J", "http://x,http://y"})
    EXPECT_THAT(apply_announced_options(options, with("ipa_inspection_callback_url", value)),
                ElementsAre(HasSubstr("mDNS")))
        << value;
  EXPECT_THAT(options.inspection_callback_urls, IsEmpty());
  EXPECT_FALSE(options.inspection_by_mdns);
}

// Programs that say what the real ones said, and note when they are called.
class FindByMdns : public testing::Test {
 protected:
  FindByMdns() {
    fs::permissions(dir_.path(""), fs::perms(0777));  // nobody runs them
    options_.api_by_mdns = true;
    options_.lookup_timeout = seconds(0);
  }
  std::string program(const std::string& name, const std::string& script) {
    const std::string path = dir_.path(name);
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path, fs::perms(0755));
    return path;
  }
  std::string answering(const std::string& name, const std::string& text) {
    std::ofstream(dir_.path(name + ".text")) << text;
    return program(name, "cat " + dir_.path(name + ".text"));
  }
  Result<void> find() { return find_by_mdns(options_, tools_, stop_.get_token()); }

  test::TempDir dir_;
  AgentOptions options_;
  MdnsTools tools_;
  std::stop_source stop_;
};

constexpr const char* kLine =
    "=;eth7;IPv4;{};_openstack._tcp;local;api.example.org;192.0.2.1;{};{}\n";

TEST_F(FindByMdns, AsksNobodyWhereUrlsAreKnown) {
  options_.api_urls = {"http://192.0.2.1"};
  EXPECT_TRUE(find());
  options_ = AgentOptions{};
  EXPECT_TRUE(find());
}

TEST_F(FindByMdns, SaysThatThereIsNobodyToAsk) {
  const auto found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::usage_option);
  EXPECT_THAT(found.error().message(), HasSubstr("neither avahi-browse nor busctl"));
}

TEST_F(FindByMdns, AvahiKnowsBoth) {
  options_.inspection_by_mdns = true;
  tools_.avahi_browse =
      answering("avahi", fmt::format(fmt::runtime(kLine), "baremetal", 6385, "\"path=/b\"") +
                             fmt::format(fmt::runtime(kLine), "baremetal-introspection", 80, ""));
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(options_.api_urls, ElementsAre("https://api.example.org:6385/b"));
  EXPECT_THAT(options_.inspection_callback_urls,
              ElementsAre("http://api.example.org:80/v1/continue"));
}

TEST_F(FindByMdns, ResolvedIsAskedWhereAvahiDoesNotAnswer) {
  tools_.avahi_browse = program("avahi", "echo 'Daemon not running' >&2; exit 1");
  tools_.busctl =
      program("busctl",
              R"(case "$*" in *' 0 baremetal _openstack._tcp local 0 0') ;; *) exit 3 ;; esac
echo '{"data":[[[0,0,80,"api.example.org",[],""]],[]]}')");
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(options_.api_urls, ElementsAre("http://api.example.org:80"));
}

TEST_F(FindByMdns, TriesThreeTimes) {
  // It may write no file, but make a folder.
  tools_.avahi_browse = program("avahi", "mkdir " + dir_.path("call.") + "$$");
  EXPECT_FALSE(find());
  int calls = 0;
  for (const auto& entry : fs::directory_iterator(dir_.path("")))
    calls += entry.path().filename().string().starts_with("call.") ? 1 : 0;
  EXPECT_EQ(calls, 3);
}

TEST_F(FindByMdns, WaitsForTheNetwork) {
  tools_.avahi_browse =
      program("avahi", "test -e " + dir_.path("up") + " && echo '" +
                           fmt::format(fmt::runtime(kLine), "baremetal", 80, "") + "'; exit 0");
  std::jthread network([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    std::ofstream(dir_.path("up")) << "";
  });
  options_.lookup_timeout = seconds(60);
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_THAT(options_.api_urls, ElementsAre("http://api.example.org:80"));
}

TEST_F(FindByMdns, SaysWhyNobodyAnswers) {
  tools_.avahi_browse =
      program("avahi", "printf 'Failed: \\033[2JDaemon not running\\n' >&2; exit 1");
  const auto found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::controller_unreachable);
  EXPECT_THAT(found.error().message(), HasSubstr("baremetal._openstack._tcp"));
  EXPECT_THAT(found.error().message(), HasSubstr("Daemon not running"));
  EXPECT_EQ(found.error().message().find('\033'), std::string::npos);
}

TEST_F(FindByMdns, AnAnswerThatIsNoUrlIsRefused) {
  tools_.avahi_browse =
      answering("avahi", fmt::format(fmt::runtime(kLine), "baremetal", 80, "\"path=no path\""));
  const auto found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::controller_refused);
  EXPECT_THAT(options_.api_urls, IsEmpty());
}

TEST_F(FindByMdns, NoAddressForInspectionIsNoErrorBesideAnApi) {
  options_.inspection_by_mdns = true;
  tools_.avahi_browse = answering("avahi", fmt::format(fmt::runtime(kLine), "baremetal", 80, ""));
  EXPECT_TRUE(find());
  EXPECT_THAT(options_.inspection_callback_urls, IsEmpty());
  options_ = AgentOptions{};
  options_.inspection_by_mdns = true;
  options_.lookup_timeout = seconds(0);
  EXPECT_FALSE(find());
}

TEST_F(FindByMdns, AStopEndsIt) {
  options_.lookup_timeout = seconds(600);
  tools_.avahi_browse = program("avahi", "exec sleep 600");
  std::jthread person([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop_.request_stop();
  });
  const auto found = find();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace ingot::agent
