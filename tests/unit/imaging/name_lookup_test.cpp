// What is said of a name that was not found, as far as no name server is needed for it; those are
// in tests/integration/test_network.py.
#include "imaging/name_lookup.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "imaging/network_facts.hpp"

namespace ingot::imaging {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

// On a thread without any network, so that nobody is asked.
LookupFailure with(const std::string& resolv_conf, const std::string& name = "a.example",
                   const std::string& behind_stub = "") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("resolv-" + std::to_string(::getpid()));
  std::ofstream(path) << resolv_conf;
  std::ofstream(path + "-stub") << behind_stub;
  LookupFailure failure;
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
    failure = explain_lookup(name, milliseconds(100), {}, {path, path + "-stub"});
  }).join();
  std::filesystem::remove(path);
  std::filesystem::remove(path + "-stub");
  return failure;
}

TEST(NameLookup, WithoutAFileOrAServerThatIsSaid) {
  const auto missing = explain_lookup("a.example", milliseconds(100), {}, {"/nowhere/r", ""});
  EXPECT_THAT(missing.reason,
              StartsWith("the name a.example was not found: /nowhere/r cannot be read; "));
  EXPECT_FALSE(missing.no_such_name);
  const auto empty = with("# nameserver 127.0.0.1\nsearch a b\nnameserver\n");
  EXPECT_THAT(empty.reason, HasSubstr(" names no name server; "));
  EXPECT_FALSE(empty.no_such_name);
}

TEST(NameLookup, AHostileFileAndNameAreShownEscapedAndBounded) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "nameserver \x1b[31m" + std::string(1000, 'x') + '\n';
  const auto failure = with(many, "a\x1b]0;b");
  EXPECT_THAT(failure.reason, StartsWith("the name a\\x1b]0;b was not found: \\x1b[31mxxx"));
  EXPECT_TRUE(std::ranges::all_of(failure.reason, [](unsigned char c) {
    return c >= ' ' && c != 0x7f;
  })) << failure.reason;
  EXPECT_LT(failure.reason.size(), 2500U);
  EXPECT_FALSE(failure.no_such_name);
}

TEST(NameLookup, WhomTheStubAsksIsSaid) {
  EXPECT_THAT(
      with("nameserver 127.0.0.53\n").reason,
      HasSubstr(": 127.0.0.53: no route leads there; systemd-resolved has no name server to "
                "ask; no interface is up; no default route"));
  EXPECT_THAT(
      with("nameserver 127.0.0.53\n", "a", "nameserver 10.0.0.1\nnameserver fd00::1\n").reason,
      HasSubstr("; 127.0.0.53 is systemd-resolved, which asks 10.0.0.1, fd00::1; "));
}

TEST(NetworkFacts, TheWayToAnAddressOfThisMachine) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(80);
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const auto* const general = reinterpret_cast<const sockaddr*>(&address);
  EXPECT_EQ(in_words(general, sizeof(address), true), "127.0.0.1 port 80");
  EXPECT_EQ(in_words(route_to(general, sizeof(address))), "from 127.0.0.1 on lo");
  EXPECT_EQ(in_words(Route{ENETUNREACH, "", ""}), "no route leads there");
}

}  // namespace
}  // namespace ingot::imaging
