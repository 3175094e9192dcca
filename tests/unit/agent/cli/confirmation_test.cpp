// The question before a disk is overwritten, asked on a real (pseudo) terminal.
#include "agent/cli/confirmation.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <thread>

#include "agent/cli/target_summary.hpp"

namespace ingot::agent {
namespace {

class Terminal {
 public:
  Terminal() { EXPECT_EQ(::openpty(&screen_, &own, nullptr, nullptr, nullptr), 0); }
  ~Terminal() {
    ::close(own);
    hang_up();
  }
  void hang_up() {
    if (screen_ >= 0) ::close(screen_);
    screen_ = -1;
  }
  void type(const std::string& text) const {
    EXPECT_EQ(::write(screen_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // What is shown, up to and including `wanted` (or all of a second).
  std::string screen(const std::string& wanted) const {
    std::string seen;
    pollfd ready{screen_, POLLIN, 0};
    while (seen.find(wanted) == std::string::npos && ::poll(&ready, 1, 1000) == 1) {
      char part[4096];
      const ssize_t got = ::read(screen_, part, sizeof part);
      if (got <= 0) break;
      seen.append(part, static_cast<std::size_t>(got));
    }
    return seen;
  }
  int own = -1;

 private:
  int screen_ = -1;
};

constexpr char kDevice[] = "/dev/ingot-test";

TEST(Confirmation, ThePathIsAYes) {
  for (const char* answer : {"/dev/ingot-test\n", "  /dev/ingot-test \n"}) {
    Terminal terminal;
    terminal.type(answer);
    EXPECT_TRUE(ask_for_confirmation(kDevice, terminal.own, terminal.own, {})) << answer;
    EXPECT_NE(terminal.screen("overwritten").find("overwritten"), std::string::npos);
  }
}

TEST(Confirmation, AnythingElseIsANo) {
  for (const char* answer :
       {"\n", "y\n", "yes\n", "/dev/ingot-test2\n", "/dev/ingot-tes\n", "\x04"}) {
    Terminal terminal;
    terminal.type(answer);
    const auto done = ask_for_confirmation(kDevice, terminal.own, terminal.own, {});
    ASSERT_FALSE(done) << answer;
    EXPECT_EQ(done.error().code(), Errc::usage_confirmation);
  }
}

TEST(Confirmation, WithoutATerminalItIsANo) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_GT(::write(ends[1], kDevice, sizeof kDevice - 1), 0);
  ASSERT_GT(::write(ends[1], "\n", 1), 0);
  const auto done = ask_for_confirmation(kDevice, ends[0], ends[1], {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::usage_confirmation);
  EXPECT_NE(done.error().advice().find("--yes"), std::string::npos);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Confirmation, ATerminalThatGoesAwayIsANo) {
  Terminal terminal;
  std::jthread later([&terminal] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    terminal.hang_up();
  });
  EXPECT_FALSE(ask_for_confirmation(kDevice, terminal.own, terminal.own, {}));
}

TEST(Confirmation, CanBeCancelled) {
  const Terminal terminal;
  std::stop_source stop;
  std::jthread later([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  const auto done = ask_for_confirmation(kDevice, terminal.own, terminal.own, stop.get_token());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::cancelled);
}

TEST(TargetSummary, IsReadable) {
  TargetSummary target;
  target.model = "ACME Disk";
  target.serial = "42";
  target.size = 512ULL << 30;
  target.partitions = {{"sda1", 1ULL << 20, ""}, {"sda10", 1ULL << 30, "ext4 'root'"}};
  EXPECT_EQ(describe("/dev/sda", target),
            "/dev/sda: 512.0 GiB, ACME Disk, serial 42\n"
            "  sda1      1.0 MiB  -\n"
            "  sda10     1.0 GiB  ext4 'root'\n");
  EXPECT_EQ(describe("/dev/sdb", TargetSummary{}), "/dev/sdb: 0 B, no partitions\n");
}

}  // namespace
}  // namespace ingot::agent
