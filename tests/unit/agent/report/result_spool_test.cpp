// Results that survive the process: kept before anybody is told, sent again as they were.
#include "agent/report/result_spool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "agent/report/http_report.hpp"
#include "tests/support/command.hpp"
#include "tests/unit/agent/report/event_receiver.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;

ReportOptions quick(const std::string& url) {
  ReportOptions options;
  options.url = url;
  options.no_proxy = "*";
  options.backoff_first = milliseconds(5);
  options.backoff_max = milliseconds(20);
  options.last_patience = milliseconds(1500);
  return options;
}

KeptResult result_of(const std::string& id) {
  return {id, "digest", "/dev/sda", true, "reboot", "http://c/events", "secret", "{}"};
}

TEST(ResultSpool, GivesBackWhatWasKeptToItsOwnerAlone) {
  const test::TempDir dir;
  const std::string folder = dir.path("run/");
  const ResultSpool spool(folder);
  EXPECT_TRUE(spool.kept().empty());
  ASSERT_TRUE(spool.keep(result_of("one")));
  auto second = result_of("two");
  second.succeeded = false;
  ASSERT_TRUE(spool.keep(second));
  second.cloud_event.clear();
  ASSERT_TRUE(spool.keep(second));  // in place of the first
  struct stat status {};
  ASSERT_EQ(::stat((folder + "/result-one.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);

  const auto kept = ResultSpool(folder).kept();
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].deploy_id, "one");
  EXPECT_EQ(kept[0].request, "digest");
  EXPECT_EQ(kept[0].device, "/dev/sda");
  EXPECT_TRUE(kept[0].succeeded);
  EXPECT_EQ(kept[0].on_success, "reboot");
  EXPECT_EQ(kept[0].report_url, "http://c/events");
  EXPECT_EQ(kept[0].report_token, "secret");
  EXPECT_EQ(kept[0].cloud_event, "{}");
  EXPECT_FALSE(kept[1].succeeded);
  EXPECT_EQ(kept[1].cloud_event, "");
  spool.forget("one");
  EXPECT_EQ(spool.kept().size(), 1U);
}

TEST(ResultSpool, RemovesWhatAKilledProcessBeganToWrite) {
  const test::TempDir dir;
  const std::string folder = dir.path("run");
  const ResultSpool spool(folder);
  ASSERT_TRUE(spool.keep(result_of("one")));
  std::ofstream(folder + "/result-killed.json.new") << "{\"deploy_id\":\"killed\"";
  std::ofstream(folder + "/notes.json.new") << "somebody's";
  EXPECT_EQ(spool.kept().size(), 1U);
  ASSERT_TRUE(spool.keep(result_of("two")));
  EXPECT_FALSE(std::filesystem::exists(folder + "/result-killed.json.new"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/notes.json.new"));
  EXPECT_EQ(spool.kept().size(), 2U);
}

TEST(ResultSpool, PassesOverWhatItDidNotWrite) {
  const test::TempDir dir;
  const ResultSpool spool(dir.path(""));
  ASSERT_TRUE(spool.keep(result_of("good")));
  for (const char* name : {"result-other.json", "result-broken.json", "notes.txt"})
    std::ofstream(dir.path(name)) << (std::string(name) == "result-other.json"
                                          ? R"({"deploy_id":"good","succeeded":true})"
                                          : "{");
  // Readable by others: anybody may have written it.
  ASSERT_TRUE(spool.keep(result_of("loose")));
  std::filesystem::permissions(dir.path("result-loose.json"), std::filesystem::perms(0644));
  const auto kept = spool.kept();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].deploy_id, "good");
}

TEST(ResultSpool, IsBounded) {
  const test::TempDir dir;
  const ResultSpool spool(dir.path(""));
  for (std::size_t i = 0; i < ResultSpool::kMostKept + 5; ++i)
    ASSERT_TRUE(spool.keep(result_of(std::to_string(i))));
  const auto kept = spool.kept();
  EXPECT_EQ(kept.size(), ResultSpool::kMostKept);
  EXPECT_EQ(kept.back().deploy_id, std::to_string(ResultSpool::kMostKept + 4));
}

TEST(HttpReport, KeepsTheResultAsItWillBeSentBeforeAnybodyIsTold) {
  test::EventReceiver receiver;
  std::vector<std::string> kept;
  int forgotten = 0;
  auto options = quick(receiver.url());
  options.keep_result = [&](const std::string& event) { kept.push_back(event); };
  options.forget_result = [&] { ++forgotten; };
  HttpReport report(options, "id");
  for (int i = 0; i < 300; ++i) report.push(note_event("n"));  // more than the queue holds
  const Event terminal = result_event({});
  report.keep(terminal);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(forgotten, 0);
  report.push(terminal);
  report.finish();
  EXPECT_EQ(forgotten, 1);
  const auto accepted = receiver.accepted();
  EXPECT_EQ(accepted.back(), kept.front());
  // Numbers without gaps or duplicates, whatever was lost on the way.
  for (std::size_t i = 0; i < accepted.size(); ++i)
    EXPECT_EQ(boost::json::parse(accepted[i]).at("id").as_string(), std::to_string(i));
}

TEST(HttpReport, WhatIsNotDeliveredIsNotForgotten) {
  for (const int status : {503, 403}) {
    test::EventReceiver receiver(std::deque<int>(10'000, status));
    int forgotten = 0;
    auto options = quick(receiver.url());
    options.last_patience = milliseconds(100);
    options.forget_result = [&] { ++forgotten; };
    HttpReport report(options, "id");
    report.push(result_event({}));
    EXPECT_NE(report.finish(), "");
    EXPECT_EQ(forgotten, status == 403 ? 1 : 0) << "refused for good is no use keeping";
  }
}

TEST(DeliverKept, RepeatsUntilItIsAnswered) {
  test::EventReceiver receiver({503, 0, 204, 409});
  auto options = quick(receiver.url());
  options.token = "tok";
  EXPECT_EQ(deliver_kept("{\"id\":\"7\"}", options).value(), true);
  EXPECT_EQ(receiver.accepted(), std::vector<std::string>{"{\"id\":\"7\"}"});
  EXPECT_NE(receiver.requests()[0].head.find("Bearer tok\r\n"), std::string::npos);
  EXPECT_EQ(deliver_kept("{}", options).value(), false);

  test::EventReceiver broken(std::deque<int>(10'000, 500));
  options.url = broken.url() + "?token=secret";
  options.last_patience = milliseconds(50);
  const auto given_up = deliver_kept("{}", options);
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code(), Errc::controller_unreachable);
  EXPECT_EQ(given_up.error().message().find("secret"), std::string::npos);
}

}  // namespace
}  // namespace ingot::agent
