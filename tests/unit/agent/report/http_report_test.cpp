// Reporting to a controller: order, repetition, what may be lost, and that the job never waits.
#include "agent/report/http_report.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/unit/agent/report/event_receiver.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;

ReportOptions quick(const std::string& url) {
  ReportOptions options;
  options.url = url;
  options.no_proxy = "*";
  options.request_timeout = milliseconds(2000);
  options.backoff_first = milliseconds(5);
  options.backoff_max = milliseconds(20);
  options.last_patience = milliseconds(1500);
  return options;
}

std::vector<std::string> types(const std::vector<std::string>& bodies) {
  std::vector<std::string> out;
  for (const auto& body : bodies)
    out.emplace_back(boost::json::parse(body).at("data").at("event").as_string());
  return out;
}

TEST(HttpReport, DeliversInOrderAsCloudEvents) {
  test::EventReceiver receiver;
  auto options = quick(receiver.url());
  options.token = "tok";
  HttpReport report(options, "id");
  report.push(started_event({.image_url = "https://x/y", .device = "/dev/sda"}));
  report.push(phase_event(Phase::write));
  report.push(result_event({}));
  EXPECT_EQ(report.finish(), "");
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(types(receiver.accepted()), (std::vector<std::string>{"started", "phase", "result"}));
  for (const auto& request : requests) {
    EXPECT_EQ(request.head.rfind("POST /events HTTP/1.1\r\n", 0), 0U);
    EXPECT_NE(request.head.find("application/cloudevents+json"), std::string::npos);
    EXPECT_NE(request.head.find("Authorization: Bearer tok\r\n"), std::string::npos);
  }
}

TEST(HttpReport, RepeatsWhatFailed) {
  test::EventReceiver receiver({503, 0, 429, 204, 500, 500});
  HttpReport report(quick(receiver.url()), "id");
  report.push(started_event({.image_url = "https://x/y", .device = "/dev/sda"}));
  while (receiver.requests().size() < 4) std::this_thread::sleep_for(milliseconds(5));
  report.push(result_event({}));
  EXPECT_EQ(report.finish(), "");
  EXPECT_EQ(types(receiver.accepted()), (std::vector<std::string>{"started", "result"}));
  // The same event again is the same event to its receiver.
  const auto requests = receiver.requests();
  EXPECT_EQ(requests[0].body, requests[3].body);
}

TEST(HttpReport, OneEventThatIsRefusedDoesNotBlockTheRest) {
  test::EventReceiver receiver({400, 204});
  HttpReport report(quick(receiver.url()), "id");
  report.push(started_event({.image_url = "https://x/y", .device = "/dev/sda"}));
  report.push(result_event({}));
  const std::string problem = report.finish();
  EXPECT_NE(problem.find("1 events before the result"), std::string::npos) << problem;
  EXPECT_NE(problem.find("400"), std::string::npos) << problem;
  EXPECT_EQ(types(receiver.accepted()), (std::vector<std::string>{"result"}));
}

TEST(HttpReport, AResultThatIsRefusedIsSaid) {
  test::EventReceiver receiver({403});
  auto options = quick(receiver.url() + "?token=secret");
  HttpReport report(options, "id");
  report.push(result_event({}));
  const std::string problem = report.finish();
  EXPECT_NE(problem.find("the result was not delivered"), std::string::npos) << problem;
  EXPECT_NE(problem.find("403"), std::string::npos) << problem;
  EXPECT_EQ(problem.find("secret"), std::string::npos) << problem;
}

TEST(HttpReport, NobodyThereIsSaidInTime) {
  std::string url;
  {
    test::EventReceiver gone;
    url = gone.url();
  }
  auto options = quick(url);
  options.last_patience = milliseconds(300);
  HttpReport report(options, "id");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) report.push(retry_event(i + 1, "r", 0));
  report.push(result_event({}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << "push() waited";
  EXPECT_NE(report.finish().find("the result was not delivered"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(HttpReport, ASlowControllerGetsTheNewestProgress) {
  test::EventReceiver receiver;
  receiver.slow_down(milliseconds(50));
  HttpReport report(quick(receiver.url()), "id");
  ProgressSnapshot progress;
  for (std::uint64_t i = 0; i < 500; ++i) {
    progress.received = i;
    report.push(progress_event(progress));
  }
  report.push(result_event({}));
  EXPECT_EQ(report.finish(), "");
  const auto accepted = receiver.accepted();
  ASSERT_GE(accepted.size(), 2U);
  EXPECT_LT(accepted.size(), 20U);
  const auto last = boost::json::parse(accepted[accepted.size() - 2]);
  EXPECT_EQ(last.at("data").at("bytes_received").to_number<int>(), 499);
}

TEST(HttpReport, AnUnfinishedOneEndsAtOnce) {
  test::EventReceiver receiver;
  receiver.slow_down(milliseconds(300));
  const auto start = std::chrono::steady_clock::now();
  {
    HttpReport report(quick(receiver.url()), "id");
    report.push(phase_event(Phase::write));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

}  // namespace
}  // namespace ingot::agent
