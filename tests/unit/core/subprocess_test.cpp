// Real programs, run for their side effects on themselves: what a child sees of its confinement is
// what it prints.
#include "disk/core/subprocess.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "disk/core/unique_fd.hpp"

namespace ingot {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

SubprocessRequest shell(const std::string& script) {
  SubprocessRequest request;
  request.argv = {"/bin/sh", "-c", script};
  request.timeout = 30s;
  request.error_code = Errc::image_convert;
  return request;
}

// The outcome of a request that must start.
SubprocessOutcome outcome_of(const SubprocessRequest& request) {
  auto outcome = run_subprocess(request, {});
  EXPECT_TRUE(outcome) << outcome.error().message();
  return outcome ? *std::move(outcome) : SubprocessOutcome{};
}

bool is_root() {
  return ::geteuid() == 0;
}

TEST(Subprocess, OutputErrorOutputAndStatusComeBack) {
  const auto outcome = outcome_of(shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(outcome.end, SubprocessOutcome::End::exited);
  EXPECT_EQ(outcome.status, 7);
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.describe_end(), "exit status 7");
  EXPECT_FALSE(outcome.output_truncated);
  EXPECT_GT(outcome.peak_rss, 0U);
  EXPECT_TRUE(outcome_of(shell("true")).ok());
}

TEST(Subprocess, ArgumentsAreNeverInterpreted) {
  SubprocessRequest request = shell("");
  request.argv = {"/bin/echo", "$HOME; `id`", "a  b", ""};
  EXPECT_EQ(outcome_of(request).out, "$HOME; `id` a  b \n");
}

TEST(Subprocess, ASignalIsReportedAsOne) {
  const auto outcome = outcome_of(shell("kill -SEGV $$"));
  EXPECT_EQ(outcome.end, SubprocessOutcome::End::signalled);
  EXPECT_EQ(outcome.status, SIGSEGV);
  EXPECT_FALSE(outcome.ok());
}

TEST(Subprocess, OutputIsDrainedButKeptOnlyToTheLimit) {
  auto request = shell("head -c 3000000 /dev/zero | tr '\\0' x; head -c 10 /dev/zero >&2");
  request.output_limit = 1000;
  const auto outcome = outcome_of(request);
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.out, std::string(1000, 'x'));
  EXPECT_EQ(outcome.err.size(), 10U);
  EXPECT_TRUE(outcome.output_truncated);
}

TEST(Subprocess, ATimeoutKillsItAndWhatItStarted) {
  auto request = shell("echo before; sleep 1000 & echo $!; sleep 1000");
  request.timeout = 300ms;
  const auto before = Clock::now();
  const auto outcome = outcome_of(request);
  EXPECT_LT(Clock::now() - before, 10s);
  EXPECT_EQ(outcome.end, SubprocessOutcome::End::timed_out);
  ASSERT_TRUE(outcome.out.starts_with("before\n")) << outcome.out;
  const pid_t grandchild = std::stoi(outcome.out.substr(7));
  for (int i = 0; i < 200 && ::kill(grandchild, 0) == 0; ++i) {
    // Killed, but perhaps not yet reaped by init.
    const auto state = std::filesystem::path("/proc") / std::to_string(grandchild) / "stat";
    std::array<char, 64> line{};
    const UniqueFd fd(::open(state.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::read(fd.get(), line.data(), line.size() - 1) <= 0 ||
        std::string_view(line.data()).find(") Z") != std::string_view::npos)
      return;
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_NE(::kill(grandchild, 0), 0);
}

TEST(Subprocess, AGrandchildThatKeepsTheOutputOpenDoesNotKeepUsWaiting) {
  const auto before = Clock::now();
  EXPECT_EQ(outcome_of(shell("sleep 1000 & echo done")).out, "done\n");
  EXPECT_LT(Clock::now() - before, 10s);
}

TEST(Subprocess, StopEndsItAtOnce) {
  std::stop_source stop;
  const auto before = Clock::now();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  const auto outcome = run_subprocess(shell("sleep 1000"), stop.get_token());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Errc::cancelled);
  EXPECT_LT(Clock::now() - before, 10s);
  EXPECT_FALSE(run_subprocess(shell("true"), stop.get_token()));  // stopped before it began
}

TEST(Subprocess, WhatCannotBeStartedIsAnErrorWithTheReason) {
  auto request = shell("");
  request.argv = {"/nonexistent/program"};
  const auto missing = run_subprocess(request, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::image_convert);
  EXPECT_NE(missing.error().message().find("/nonexistent/program"), std::string::npos);
  EXPECT_NE(missing.error().message().find("No such file"), std::string::npos);
  request.argv = {"/bin"};
  EXPECT_FALSE(run_subprocess(request, {}));
  request = shell("true");
  request.inherit = {-1};
  EXPECT_FALSE(run_subprocess(request, {}));
  request.argv.clear();
  EXPECT_FALSE(run_subprocess(request, {}));
}

TEST(Subprocess, EnvironmentDirectoryAndInputAreClean) {
  ::setenv("INGOT_SECRET", "hunter2", 1);
  const auto outcome =
      outcome_of(shell("env | grep -v -e ^_= -e ^PWD= -e ^OLDPWD= | sort; pwd; wc -c"));
  ::unsetenv("INGOT_SECRET");
  EXPECT_EQ(outcome.out,
            "LC_ALL=C\n"
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/\n0\n");
}

TEST(Subprocess, OnlyTheDescriptorsNamedAreInherited) {
  const UniqueFd leak(::open("/dev/zero", O_RDONLY));  // no O_CLOEXEC, on purpose
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd ours(pair[0]), theirs(pair[1]);
  std::array<int, 2> second{};
  ASSERT_EQ(::pipe2(second.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(second[0]), write_end(second[1]);
  auto request = shell("echo first >&3; echo second >&4; ls /proc/self/fd");
  request.inherit = {theirs.get(), write_end.get()};
  // ls itself opens one more (the directory), which gets the first free number: 5.
  EXPECT_EQ(outcome_of(request).out, "0\n1\n2\n3\n4\n5\n");
  std::array<char, 32> text{};
  EXPECT_EQ(::read(ours.get(), text.data(), text.size()), 6);
  EXPECT_STREQ(text.data(), "first\n");
  EXPECT_EQ(::read(read_end.get(), text.data(), text.size()), 7);
  EXPECT_STREQ(text.data(), "second\n");
}

TEST(Subprocess, DescriptorsMayBeNumberedLikeTheirPlaces) {
  // The first to inherit is number 4 and must become 3; the second is 3 and must become 4.
  std::array<UniqueFd, 2> files;
  for (auto& file : files) file = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::array<int, 2> out{};
  ASSERT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(out[0]), write_end(out[1]);
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  for (const auto& order : {std::array{files[0].get(), zero.get()}, {zero.get(), files[0].get()}}) {
    auto request = shell("head -c 4 <&3 | wc -c; head -c 4 <&4 | wc -c");
    request.inherit = {order[0], order[1]};
    EXPECT_EQ(outcome_of(request).out, order[0] == zero.get() ? "4\n0\n" : "0\n4\n");
  }
}

TEST(Subprocess, LimitsHold) {
  auto request = shell("ulimit -c; ulimit -n; ulimit -v; ulimit -f");
  request.address_space = 512ULL << 20;
  request.open_files = 20;
  request.file_size = 1024 * 512;
  EXPECT_EQ(outcome_of(request).out, "0\n20\n524288\n1024\n");

  request = shell("while :; do :; done");
  request.cpu_seconds = 1;
  EXPECT_EQ(outcome_of(request).end, SubprocessOutcome::End::signalled);
}

TEST(Subprocess, ItWritesNoFileUnlessAllowed) {
  std::string path = "/var/tmp/ingot-subprocess-XXXXXX";
  const UniqueFd file(::mkstemp(path.data()));
  ASSERT_TRUE(file);
  auto request = shell("echo x > " + path);
  request.drop_privileges = false;
  EXPECT_FALSE(outcome_of(request).ok());
  EXPECT_EQ(std::filesystem::file_size(path), 0U);
  request.file_size = 100;
  EXPECT_TRUE(outcome_of(request).ok());
  EXPECT_EQ(std::filesystem::file_size(path), 2U);
  std::filesystem::remove(path);
}

TEST(Subprocess, AsRootItBecomesNobodyWithoutANetwork) {
  if (!is_root()) {
    EXPECT_EQ(outcome_of(shell("id -u")).out, std::to_string(::geteuid()) + "\n");
    return;
  }
  auto request = shell(
      "id -u; id -g; id -G; grep -c : /proc/net/dev; "
      "grep -e NoNewPrivs -e CapEff /proc/self/status");
  const auto confined = outcome_of(request);
  EXPECT_EQ(confined.out.substr(0, 18), "65534\n65534\n65534\n");
  EXPECT_NE(confined.out.find("NoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(confined.out.find("CapEff:\t0000000000000000"), std::string::npos);
  const auto links = outcome_of(shell("readlink /proc/self/ns/net")).out;
  request = shell("readlink /proc/self/ns/net");
  request.isolate_network = false;
  EXPECT_NE(links, outcome_of(request).out);
  request = shell("id -u");
  request.drop_privileges = false;
  EXPECT_EQ(outcome_of(request).out, "0\n");
}

TEST(Subprocess, SignalsOfOursDoNotReachInto) {
  // Ignored here, and yet deadly there; blocked here, and yet delivered there.
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, old;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &old);
  EXPECT_EQ(outcome_of(shell("kill -PIPE $$")).status, SIGPIPE);
  EXPECT_EQ(outcome_of(shell("kill -TERM $$")).status, SIGTERM);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::signal(SIGPIPE, before);
}

TEST(Subprocess, ManyAtOnceDoNotMixUp) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([i] {
      for (int k = 0; k < 5; ++k) {
        const auto text = std::to_string(i * 100 + k);
        EXPECT_EQ(outcome_of(shell("echo " + text + "; exit " + std::to_string(i))).out,
                  text + "\n");
      }
    });
}

TEST(Subprocess, NoDescriptorAndNoChildIsLeftBehind) {
  const auto descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = descriptors();
  for (int i = 0; i < 3; ++i) {
    outcome_of(shell("true"));
    auto request = shell("sleep 100");
    request.timeout = 10ms;
    outcome_of(request);
    request.argv = {"/nonexistent"};
    EXPECT_FALSE(run_subprocess(request, {}));
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(FindProgram, LooksAlongAnAbsolutePathOnly) {
  EXPECT_EQ(find_program("no-such-program-at-all"), std::nullopt);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "::.:bin:/nonexistent:/bin", 1);
  EXPECT_EQ(find_program("sh"), "/bin/sh");
  ::setenv("PATH", "", 1);
  EXPECT_EQ(find_program("sh"), std::nullopt);
  ::unsetenv("PATH");
  EXPECT_TRUE(find_program("sh"));
  ::setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace ingot
