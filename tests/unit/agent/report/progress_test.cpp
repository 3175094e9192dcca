// Numbers that never go back, rates, remaining times, and the bar.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/report/progress_bar.hpp"
#include "agent/report/progress_view.hpp"
#include "agent/report/rate_meter.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
const RateMeter::Time kStart{};

TEST(RateMeter, MeansOverTheWindow) {
  RateMeter meter;
  EXPECT_EQ(meter.per_second(), 0);
  meter.add(kStart, 1000);
  EXPECT_EQ(meter.per_second(), 0);
  for (int i = 1; i <= 100; ++i)
    meter.add(kStart + milliseconds(100 * i), 1000 + static_cast<std::uint64_t>(i) * 10);
  EXPECT_NEAR(meter.per_second(), 100, 1e-6);
  // A stall is seen within the window.
  for (int i = 101; i <= 100 + 60; ++i) meter.add(kStart + milliseconds(100 * i), 2000);
  EXPECT_EQ(meter.per_second(), 0);
}

TEST(RateMeter, ManySamplesAtOnceAreOne) {
  RateMeter meter;
  for (std::uint64_t i = 0; i < 100'000; ++i)
    meter.add(kStart + std::chrono::microseconds(i), i);  // 0.1 s, a million a second
  EXPECT_NEAR(meter.per_second(), 1e6, 2e4);
}

TEST(ProgressView, NumbersNeverGoBack) {
  ProgressCounters counters;
  ProgressView view;
  counters.bytes_expected = 1000;
  counters.bytes_received = 600;
  counters.bytes_written = 500;
  auto seen = view.look(counters, Phase::write, kStart);
  EXPECT_EQ(seen.received, 600U);
  EXPECT_NEAR(seen.percent.value(), 60, 1e-9);
  // The transfer starts over.
  counters.bytes_received = 10;
  counters.bytes_written = 3;
  counters.bytes_expected = -1;
  seen = view.look(counters, Phase::connect, kStart + seconds(1));
  EXPECT_EQ(seen.received, 600U);
  EXPECT_EQ(seen.written, 500U);
  EXPECT_EQ(seen.expected, 1000U);
  EXPECT_EQ(seen.phase, Phase::write);
  EXPECT_NEAR(seen.percent.value(), 60, 1e-9);
}

TEST(ProgressView, HundredPercentIsDoneOnly) {
  ProgressCounters counters;
  ProgressView view;
  counters.bytes_expected = counters.bytes_received = 1000;
  EXPECT_EQ(view.look(counters, Phase::write, kStart).percent, 99.0);
  EXPECT_EQ(view.look(counters, Phase::commit, kStart).percent, 99.0);
  EXPECT_EQ(view.look(counters, Phase::done, kStart).percent, 100.0);
}

TEST(ProgressView, FallsBackToTheDiskAndToNothing) {
  ProgressCounters counters;
  ProgressView view;
  EXPECT_FALSE(view.look(counters, Phase::connect, kStart).percent);
  counters.virtual_size = 4000;
  counters.bytes_written = 500;
  counters.bytes_zeroed = 500;
  const auto seen = view.look(counters, Phase::write, kStart);
  EXPECT_NEAR(seen.percent.value(), 25, 1e-9);
  EXPECT_FALSE(seen.eta) << "the rest of the file is not known";
}

TEST(ProgressView, RemainingTime) {
  ProgressCounters counters;
  ProgressView view;
  counters.bytes_expected = 100 * MiB;
  EXPECT_FALSE(view.look(counters, Phase::write, kStart).eta);
  counters.bytes_received = 20 * MiB;
  const auto seen = view.look(counters, Phase::write, kStart + seconds(2));
  EXPECT_NEAR(seen.receive_rate, 10.0 * MiB, 1);
  EXPECT_EQ(seen.eta, seconds(8));
  // A stall: no estimate rather than an absurd one.
  EXPECT_FALSE(view.look(counters, Phase::write, kStart + seconds(20)).eta);
}

TEST(ProgressView, HugeNumbersDoNotOverflow) {
  ProgressCounters counters;
  ProgressView view;
  counters.bytes_expected = INT64_MAX;
  EXPECT_FALSE(view.look(counters, Phase::write, kStart).eta);
  counters.bytes_received = 2000;
  const auto seen = view.look(counters, Phase::write, kStart + seconds(1));
  ASSERT_TRUE(seen.eta);
  EXPECT_GT(*seen.eta, seconds(0));
}

ProgressSnapshot half_way() {
  ProgressSnapshot progress;
  progress.phase = Phase::write;
  progress.received = 200 * MiB;
  progress.expected = 400 * MiB;
  progress.written = 700 * MiB;
  progress.percent = 50.0;
  progress.receive_rate = 20.0 * MiB;
  progress.eta = seconds(10);
  return progress;
}

TEST(ProgressBar, FitsEveryWidth) {
  for (unsigned width = 0; width < 220; ++width) {
    const std::string line = render_bar(half_way(), width);
    EXPECT_LT(line.size(), std::max(width, 2U)) << width << ": " << line;
  }
  const std::string wide = render_bar(half_way(), 160);
  for (const char* part : {"write", "[====", "50.0 %", "200.0 MiB of 400.0 MiB", "20.0 MiB/s",
                           "700.0 MiB written", "10 s left"})
    EXPECT_NE(wide.find(part), std::string::npos) << part << ": " << wide;
  const std::string narrow = render_bar(half_way(), 30);
  EXPECT_NE(narrow.find("50.0 %"), std::string::npos) << narrow;
}

TEST(ProgressBar, DrawsOverItselfOnATerminal) {
  int terminal = -1, screen = -1;
  winsize size{24, 50, 0, 0};
  ASSERT_EQ(::openpty(&screen, &terminal, nullptr, nullptr, &size), 0);
  ProgressBar bar(terminal);
  bar.draw(half_way(), kStart);
  bar.print("a note");
  bar.finish();
  std::string seen;
  pollfd ready{screen, POLLIN, 0};
  while (std::count(seen.begin(), seen.end(), '\n') < 2 && ::poll(&ready, 1, 1000) == 1) {
    char part[4096];
    const ssize_t got = ::read(screen, part, sizeof part);
    ASSERT_GT(got, 0);
    seen.append(part, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(seen.rfind("\r\033[Kwrite", 0), 0U) << seen;
  EXPECT_NE(seen.find("\r\033[Ka note\r\nwrite"), std::string::npos) << seen;
  ::close(terminal);
  ::close(screen);
}

TEST(ProgressBar, WritesWholeLinesIntoALog) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ProgressBar bar(ends[1]);
  auto progress = half_way();
  for (int i = 0; i < 100; ++i) bar.draw(progress, kStart + milliseconds(100 * i));  // 10 s
  progress.phase = Phase::flush;
  bar.draw(progress, kStart + seconds(10));
  bar.finish();
  ::close(ends[1]);
  std::string seen(65536, '\0');
  const ssize_t got = ::read(ends[0], seen.data(), seen.size());
  ASSERT_GT(got, 0);
  seen.resize(static_cast<std::size_t>(got));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 3) << seen;
  EXPECT_EQ(seen.find('\r'), std::string::npos);
  ::close(ends[0]);
}

// For the service manager's status, and for consoles.
TEST(ProgressSentence, SaysWhatIsDoneToWhatAndHowFarItIs) {
  ProgressSnapshot progress;
  progress.phase = Phase::write;
  progress.received = 42 << 20;
  progress.percent = 42.4;
  progress.receive_rate = 310.0 * (1 << 20);
  progress.eta = seconds(9);
  EXPECT_EQ(sentence(progress, "/dev/sda", false), "Writing /dev/sda: 42 %, 310.0 MiB/s, 9 s left");
  EXPECT_EQ(sentence({}, "", false), "Connecting");
  EXPECT_EQ(sentence({}, "/dev/sda", false), "Connecting, to write /dev/sda");
  progress = {};
  progress.phase = Phase::flush;
  progress.percent = 99.0;
  EXPECT_EQ(sentence(progress, "/dev/sda", false), "Flushing /dev/sda: 99 %");
  progress.phase = Phase::done;
  EXPECT_EQ(sentence(progress, "/dev/sda", false), "Done with /dev/sda");
  // Nothing is received: the disk's own rate.
  progress.phase = Phase::write;
  progress.zeroed = 1 << 20;
  progress.percent = 1.0;
  progress.write_rate = 2048;
  EXPECT_EQ(sentence(progress, "/dev/sdb", true), "Erasing /dev/sdb: 1 %, 2.0 KiB/s");
}

}  // namespace
}  // namespace ingot::agent
