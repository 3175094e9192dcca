// What a service manager is told, read from a socket as systemd has one.
#include "agent/process/service_manager.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ServiceManagerTest : public testing::Test {
 protected:
  ServiceManagerTest() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    // In the abstract namespace: nothing is left behind.
    name_ = "@ingot-test-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof address.sun_path - 1);
    address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
    ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  // All datagrams that are there.
  std::vector<std::string> told() {
    std::vector<std::string> all;
    std::array<char, 4096> buffer{};
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) return all;
      all.emplace_back(buffer.data(), static_cast<std::size_t>(got));
    }
  }

  static void set_watchdog(const char* usec, const std::string& pid) {
    ::setenv("WATCHDOG_USEC", usec, 1);
    ::setenv("WATCHDOG_PID", pid.c_str(), 1);
  }

  UniqueFd socket_;
  std::string name_;
};

using Told = std::vector<std::string>;

TEST_F(ServiceManagerTest, ALifeInOrder) {
  ServiceManager manager;
  EXPECT_TRUE(manager.listens());
  manager.status("Looking up", seconds(90));
  manager.ready();
  manager.ready();
  manager.status("Waiting for commands");
  manager.status("Waiting for commands");
  manager.stopping("Stopping");
  manager.stopping("Stopping again");
  EXPECT_EQ(told(), (Told{"STATUS=Looking up\nEXTEND_TIMEOUT_USEC=90000000", "READY=1",
                          "STATUS=Waiting for commands", "STOPPING=1\nSTATUS=Stopping"}));
}

TEST_F(ServiceManagerTest, AStatusIsOneLineOfUtf8) {
  ServiceManager manager;
  manager.status("a\nREADY=1\x1b[2J\xff");
  EXPECT_EQ(told(), (Told{"STATUS=a READY=1?[2J\xEF\xBF\xBD"}));
}

TEST_F(ServiceManagerTest, TheWatchdogIsFedThreeTimesInItsInterval) {
  set_watchdog("300000", std::to_string(::getpid()));
  ServiceManager manager;
  EXPECT_EQ(manager.watchdog(), milliseconds(300));
  manager.alive();
  manager.alive();
  EXPECT_EQ(told(), Told{"WATCHDOG=1"});
  std::this_thread::sleep_for(milliseconds(101));
  manager.alive();
  EXPECT_EQ(told(), Told{"WATCHDOG=1"});
}

TEST_F(ServiceManagerTest, AWatchdogOfAnotherProcessOrNoneIsNotFed) {
  set_watchdog("300000", "1");
  ServiceManager another;
  another.alive();
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
  ServiceManager none;
  none.alive();
  EXPECT_EQ(another.watchdog().count() + none.watchdog().count(), 0);
  EXPECT_EQ(told(), Told{});
}

TEST_F(ServiceManagerTest, WithoutASocketNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  set_watchdog("300000", std::to_string(::getpid()));
  ServiceManager manager;
  ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);  // looked at once
  manager.ready();
  manager.status("anything");
  manager.alive();
  EXPECT_FALSE(manager.listens());
  EXPECT_EQ(told(), Told{});
}

TEST_F(ServiceManagerTest, ASocketThatIsGoneIsNoError) {
  ServiceManager manager;
  socket_.reset();
  manager.ready();
  manager.status("anything");
}

}  // namespace
}  // namespace ingot::agent
