// When heartbeats are sent, against a real server. Only lower bounds of times are tested: a loaded
// machine is late, never early.
#include "agent/ironic/heartbeats.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <thread>

#include "agent/text/json_object.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;
using test::FakeIronic;

const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";
const std::string kUrl = "https://192.0.2.7:9999";
constexpr const char* kCertificate = "-----BEGIN CERTIFICATE-----\n";

// Only what is forced comes soon.
constexpr HeartbeatTimes kOnDemand{.least = 0.9,
                                   .most = 1,
                                   .retry_least = milliseconds(3'600'000),
                                   .retry_most = milliseconds(3'600'000),
                                   .forced_gap = milliseconds(50)};
constexpr seconds kLong{3600};

class HeartbeatsTest : public testing::Test {
 protected:
  HeartbeatsTest() {
    options_.api_urls = {ironic_.url()};
    options_.api_version = "1.115";
    LookupAnswer answer;
    answer.uuid = "1be26c0b";
    answer.token = kToken;
    node_.adopt(answer);
  }
  void start(seconds timeout, HeartbeatTimes times) {
    client_ = std::make_unique<IronicClient>(options_);
    heartbeats_ = std::make_unique<Heartbeats>(*client_, node_, kUrl, kCertificate, timeout, times);
  }
  std::vector<Clock::time_point> times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }

  std::atomic<unsigned> status_ = 202;
  std::atomic<bool> hold_ = false;
  std::mutex mutex_;
  std::vector<Clock::time_point> times_;
  FakeIronic ironic_{[this](const auto&, std::size_t) {
    {
      const std::lock_guard lock(mutex_);
      times_.push_back(Clock::now());
    }
    while (hold_) std::this_thread::sleep_for(milliseconds(5));
    return HttpAnswer{.status = status_};
  }};
  AgentOptions options_;
  NodeState node_;
  std::unique_ptr<IronicClient> client_;
  std::unique_ptr<Heartbeats> heartbeats_;
};

TEST_F(HeartbeatsTest, TheFirstComesAtOnce) {
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  const auto first = ironic_.requests()[0];
  EXPECT_EQ(first.method, "POST");
  EXPECT_EQ(first.target, "/v1/heartbeat/1be26c0b");
  const auto body = parse_json_object(first.body);
  ASSERT_TRUE(body);
  EXPECT_EQ(string_in(*body, "callback_url"), kUrl);
  EXPECT_EQ(string_in(*body, "agent_token"), kToken);
  EXPECT_EQ(string_in(*body, "agent_verify_ca"), kCertificate);
}

TEST_F(HeartbeatsTest, AForcedOneComesSoonButNotTooSoon) {
  const auto begun = Clock::now();
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  for (std::size_t count = 2; count <= 4; ++count) {
    heartbeats_->force();
    ASSERT_TRUE(ironic_.wait_for(count));
  }
  EXPECT_GE(times()[3] - begun, 3 * kOnDemand.forced_gap);
}

TEST_F(HeartbeatsTest, TheFlagIsKeptAfterAFailure) {
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  status_ = 409;
  heartbeats_->force();
  // Without the flag the next one would be due in an hour.
  ASSERT_TRUE(ironic_.wait_for(4));
  status_ = 202;
  const auto before = ironic_.requests().size();
  ASSERT_TRUE(ironic_.wait_for(before + 1));
  // The one that was being answered may still have failed; the next was taken, and then none is
  // due.
  std::this_thread::sleep_for(milliseconds(250));
  EXPECT_LE(ironic_.requests().size(), before + 2);
}

TEST_F(HeartbeatsTest, ManyForcesAreOne) {
  HeartbeatTimes slow = kOnDemand;
  slow.forced_gap = milliseconds(150);
  start(kLong, slow);
  ASSERT_TRUE(ironic_.wait_for(1));
  for (int i = 0; i < 100; ++i) heartbeats_->force();
  ASSERT_TRUE(ironic_.wait_for(2));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_LE(ironic_.requests().size(), 3U);
}

TEST_F(HeartbeatsTest, GoesOnWhateverTheApiAnswers) {
  HeartbeatTimes quick = kOnDemand;
  quick.retry_least = milliseconds(10);
  quick.retry_most = milliseconds(30);
  for (const unsigned each : {400U, 404U, 409U, 500U, 200U}) {
    status_ = each;
    const auto before = ironic_.requests().size();
    start(kLong, quick);
    EXPECT_TRUE(ironic_.wait_for(before + 3)) << each;
    heartbeats_.reset();
  }
}

TEST_F(HeartbeatsTest, IntervalsAreJittered) {
  const auto begun = Clock::now();
  // 10 to 40 ms after a success.
  start(seconds(1), {.least = 0.01, .most = 0.04});
  ASSERT_TRUE(ironic_.wait_for(20));
  heartbeats_.reset();
  const auto came = times();
  EXPECT_GE(came[19] - begun, 19 * milliseconds(10));
  auto shortest = Clock::duration::max(), longest = Clock::duration::min();
  for (std::size_t i = 1; i < 20; ++i) {
    shortest = std::min(shortest, came[i] - came[i - 1]);
    longest = std::max(longest, came[i] - came[i - 1]);
  }
  EXPECT_GT(longest - shortest, milliseconds(8)) << "always the same interval";
}

TEST_F(HeartbeatsTest, TheRealTimes) {
  const HeartbeatTimes times;
  EXPECT_EQ(times.least, 0.3);
  EXPECT_EQ(times.most, 0.6);
  EXPECT_EQ(times.retry_least, seconds(5));
  EXPECT_EQ(times.retry_most, seconds(10));
  EXPECT_EQ(times.forced_gap, seconds(5));
}

TEST_F(HeartbeatsTest, TellHowFarTheJobIs) {
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  node_.set_job(std::make_shared<JobWatch>("write_image"));
  heartbeats_->force();
  ASSERT_TRUE(ironic_.wait_for(2));
  node_.set_job(nullptr);
  heartbeats_->force();
  ASSERT_TRUE(ironic_.wait_for(3));
  const auto requests = ironic_.requests();
  const auto message = [&](std::size_t i) {
    return string_in(parse_json_object(requests[i].body).value(), "agent_status_message");
  };
  EXPECT_EQ(message(0), "");
  EXPECT_EQ(message(1), "write_image: connect");
  EXPECT_EQ(message(2), "");
}

TEST_F(HeartbeatsTest, BelowApi172TheyDoNotTell) {
  options_.api_version = "1.71";
  node_.set_job(std::make_shared<JobWatch>("write_image"));
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  const auto body = parse_json_object(ironic_.requests()[0].body);
  ASSERT_TRUE(body);
  EXPECT_FALSE(body->contains("agent_status_message"));
}

TEST_F(HeartbeatsTest, AStopEndsThemAtOnce) {
  start(kLong, kOnDemand);
  ASSERT_TRUE(ironic_.wait_for(1));
  heartbeats_->stop();
  heartbeats_->force();
  heartbeats_.reset();  // would wait for an hour
  EXPECT_LE(ironic_.requests().size(), 2U);
}

TEST_F(HeartbeatsTest, TheLogHasNoToken) {
  testing::internal::CaptureStderr();
  status_ = 400;
  start(kLong, kOnDemand);
  const bool came = ironic_.wait_for(1);
  heartbeats_->stop();
  heartbeats_.reset();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(came);
  EXPECT_EQ(log.find(kToken), std::string::npos) << log;
}

// What a watchdog asks.
TEST_F(HeartbeatsTest, OnTimeWhileAnAttemptMayStillEndAndUntilTheNextIsDue) {
  HeartbeatTimes times = kOnDemand;
  times.longest_attempt = milliseconds(400);
  start(kLong, times);
  ASSERT_TRUE(ironic_.wait_for(1));
  // Asleep, for an hour.
  std::this_thread::sleep_for(milliseconds(700));
  EXPECT_TRUE(heartbeats_->on_time());
  // In an attempt that does not end: nobody but a thread that hangs takes longer than the longest.
  hold_ = true;
  heartbeats_->force();
  const auto end = Clock::now() + seconds(30);
  while (this->times().size() < 2 && Clock::now() < end)
    std::this_thread::sleep_for(milliseconds(5));
  while (heartbeats_->on_time() && Clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_FALSE(heartbeats_->on_time());
  hold_ = false;
  while (!heartbeats_->on_time() && Clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(heartbeats_->on_time());
}

}  // namespace
}  // namespace ingot::agent
