// Signals become calls on a thread.
#include "agent/process/signal_watch.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace ingot::agent {
namespace {

TEST(SignalWatch, SignalsBecomeCalls) {
  std::atomic<int> last = 0, calls = 0;
  {
    const SignalWatch watch([&](int signal, int count) {
      last = signal;
      calls = count;
    });
    ::kill(::getpid(), SIGTERM);
    while (calls < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(last, SIGTERM);
    ::kill(::getpid(), SIGINT);
    while (calls < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(last, SIGINT);
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGINT), 0) << "as it was before";
}

}  // namespace
}  // namespace ingot::agent
