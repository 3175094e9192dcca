// The host's network as far as the agent needs it.
#include "agent/machine/host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

// A /sys with network interfaces.
class Sysfs {
 public:
  void interface(const std::string& name, const std::string& mac, bool device = true) const {
    const fs::path path = dir_.path("class/net/" + name);
    fs::create_directories(path);
    std::ofstream(path / "address") << mac << "\n";
    if (device) fs::create_directory(path / "device");
  }
  [[nodiscard]] std::string path() const { return dir_.path("."); }

 private:
  test::TempDir dir_;
};

TEST(Host, MacsOfDevicesOnly) {
  const Sysfs sysfs;
  sysfs.interface("lo", "00:00:00:00:00:00", false);
  sysfs.interface("eno2", "52:54:00:AA:BB:02");
  sysfs.interface("eno1", "52:54:00:aa:bb:01");
  sysfs.interface("bond0", "52:54:00:aa:bb:09", false);
  sysfs.interface("dummy", "00:00:00:00:00:00");
  sysfs.interface("twin", "52:54:00:aa:bb:01");
  sysfs.interface("ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:a0:72:32");
  sysfs.interface("tunnel", "");
  EXPECT_THAT(mac_addresses(sysfs.path()),
              testing::ElementsAre("24:8a:07:a0:72:32", "52:54:00:aa:bb:01", "52:54:00:aa:bb:02"));
  EXPECT_TRUE(mac_addresses(sysfs.path() + "/none").empty());
}

TEST(Host, AddressTowardsTheApi) {
  EXPECT_EQ(address_towards("http://127.0.0.1:6385").value(), "127.0.0.1");
  EXPECT_EQ(address_towards("https://u:p@127.0.0.1/baremetal").value(), "127.0.0.1");
  EXPECT_EQ(address_towards("http://[::1]:6385/").value(), "::1");
}

TEST(Host, NoAddressTowardsWhatIsNoUrl) {
  for (const auto* url : {"", "127.0.0.1", "http://", "http:///v1", "not a url"}) {
    const auto address = address_towards(url);
    ASSERT_FALSE(address) << url;
    EXPECT_EQ(address.error().code(), Errc::usage_option) << url;
  }
  const auto hidden = address_towards("http://u:S3CR3T@/");
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().message().find("S3CR3T"), std::string::npos);
  // RFC 2606: never resolves.
  const auto unknown = address_towards("http://ironic.invalid:6385");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), Errc::controller_unreachable);
  EXPECT_NE(unknown.error().message().find("ironic.invalid"), std::string::npos);
}

TEST(Host, AddressOfAnInterface) {
  EXPECT_EQ(address_of_interface("lo").value(), "127.0.0.1");
  const auto none = address_of_interface("no-such-if0");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::usage_option);
}

TEST(Host, Urls) {
  EXPECT_EQ(url_of("http", "192.0.2.7", 9999), "http://192.0.2.7:9999");
  EXPECT_EQ(url_of("https", "2001:db8::7", 443), "https://[2001:db8::7]:443");
  EXPECT_EQ(url_of("https", "[2001:db8::7]", 443), "https://[2001:db8::7]:443");
  EXPECT_EQ(url_of("https", "agent.example", 1), "https://agent.example:1");
}

}  // namespace
}  // namespace ingot::agent
