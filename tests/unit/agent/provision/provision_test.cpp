// A machine's life: which failures are repeated, how often, and what is told of them.
#include "agent/provision/provision.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "agent/http/http_server.hpp"
#include "agent/process/waiting.hpp"
#include "agent/provision/write_order.hpp"
#include "agent/report/result_spool.hpp"
#include "disk/core/units.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Serves one machine's request; takes its events.
class Server final : public HttpHandler {
 public:
  Server() {
    HttpServerOptions options;
    options.addresses = {"127.0.0.1"};
    server_ = *HttpServer::start(options, *this);
  }
  [[nodiscard]] bool wants_body(const HttpRequest& header) const override {
    return header.method == "POST";
  }
  HttpAnswer answer(const HttpRequest& request) override {
    const std::lock_guard lock(mutex_);
    HttpAnswer answer;
    if (request.method == "POST") {
      if (request.body.find("\"event\":\"result\"") != std::string_view::npos)
        results_.emplace_back(request.body);
      return answer;
    }
    ++asked_;
    const auto next = answers_.empty() ? std::pair(404U, std::string()) : answers_.front();
    if (answers_.size() > 1) answers_.erase(answers_.begin());
    answer.status = next.first;
    answer.body = next.second;
    return answer;
  }
  [[nodiscard]] std::string error_body(unsigned, std::string_view) const override { return {}; }

  void say(std::vector<std::pair<unsigned, std::string>> answers) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::vector<std::string> results() {
    const std::lock_guard lock(mutex_);
    return results_;
  }
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(server_->port());
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<unsigned, std::string>> answers_;
  std::vector<std::string> results_;
  int asked_ = 0;
  std::unique_ptr<HttpServer> server_;
};

class Provision : public testing::Test {
 protected:
  Provision() {
    test::run("truncate -s 8M " + image() + " && printf 'label: gpt\\nstart=2048,size=2048\\n' | " +
              "sfdisk -q " + image() + " && truncate -s 16M " + disk());
    sum_ = test::run("sha256sum " + image()).substr(0, 64);
    options_.from = server_.url() + "/v1/provision";
    options_.network.no_proxy = "*";
    options_.device = disk();
    options_.device_named_here = true;
    options_.power = PowerMode::exit;
    options_.run_dir = dir_.path("run");
    options_.sysfs = dir_.path("sys");
    options_.report_url = "/events";
  }
  [[nodiscard]] std::string image() const { return dir_.path("image.raw"); }
  [[nodiscard]] std::string disk() const { return dir_.path("disk.raw"); }

  // As a file of this machine, which a request from afar may not name.
  std::string request(const std::string& sum) {
    return R"({"apiVersion":"ingot.io/v1","kind":"DeployRequest","spec":{"image":{"urls":[")" +
           std::string("file://") + image() + R"("],"checksum":")" + sum + R"("}}})";
  }
  std::string order(const std::string& sum) {
    std::ofstream(dir_.path("order.json")) << request(sum);
    return "file://" + dir_.path("order.json");
  }
  void wipe() { test::run("truncate -s 0 " + disk() + " && truncate -s 16M " + disk()); }
  // How much there is on the disk: "0\n" for nothing.
  std::string written() { return test::run("head -c 1M " + disk() + " | tr -d '\\0' | wc -c"); }
  // Runs it for `time`, then tells it to stop.
  Result<void> run_for(milliseconds time) {
    const std::jthread timer([this, time](const std::stop_token& over) {
      if (pause(over, time)) stop_.request(false);
    });
    return provision(options_, stop_);
  }

  test::TempDir dir_;
  Server server_;
  ProvisionOptions options_;
  ProvisionStop stop_;
  std::string sum_;
};

TEST_F(Provision, InARamDiskWhatMayPassIsRepeatedForEver) {
  options_.ram_disk = true;
  server_.say({{404, ""}, {503, ""}, {429, ""}, {404, ""}});
  const auto done = run_for(milliseconds(4'000));
  EXPECT_EQ(done.error().code(), Errc::cancelled);
  EXPECT_GE(server_.asked(), 3);
  EXPECT_LE(server_.asked(), 8) << "back-off";
  EXPECT_TRUE(server_.results().empty()) << "nothing failed yet";
}

TEST_F(Provision, InARamDiskWhatStaysIsToldOnceAndAskedForSlowly) {
  options_.ram_disk = true;
  options_.recheck = milliseconds(200);
  server_.say({{403, ""}});
  EXPECT_EQ(run_for(milliseconds(1'500)).error().code(), Errc::cancelled);
  EXPECT_GE(server_.asked(), 3);
  EXPECT_LE(server_.asked(), 9);
  ASSERT_EQ(server_.results().size(), 1U);
  EXPECT_THAT(server_.results()[0], HasSubstr("controller.refused"));
}

TEST_F(Provision, ElsewhereWhatStaysEndsIt) {
  server_.say({{200, "kind: Pod"}});
  EXPECT_EQ(provision(options_, stop_).error().code(), Errc::usage_manifest);
  server_.say({{401, ""}});
  EXPECT_EQ(provision(options_, stop_).error().code(), Errc::controller_refused);
  EXPECT_EQ(server_.asked(), 2);
  EXPECT_EQ(server_.results().size(), 2U);
}

TEST_F(Provision, ARefusalIsSaidInTheServersWords) {
  options_.token = "S3CR3T-S3CR3T";
  server_.say({{422, R"({"error":{"code":"usage.manifest","message":"there is no OSImage 'nobel'",)"
                     R"("advice":"correct the name\u001b[31m"}})"}});
  const auto refused = run_for(milliseconds(4'000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::controller_refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("status 422: there is no OSImage 'nobel'"));
  EXPECT_EQ(refused.error().advice(), "correct the name?[31m");
  server_.say({{403, R"({"error":{"message":"not S3CR3T-S3CR3T","advice":7}})"}});
  const auto hidden = run_for(milliseconds(4'000));
  ASSERT_FALSE(hidden);
  EXPECT_THAT(hidden.error().message(), testing::EndsWith("status 403"));
  EXPECT_THAT(hidden.error().advice(), HasSubstr("check the token"));
}

TEST_F(Provision, ElsewhereWhatMayPassHasALimit) {
  options_.retry = RetryPolicy{milliseconds(300)};
  server_.say({{500, ""}});
  EXPECT_EQ(provision(options_, stop_).error().code(), Errc::controller_unreachable);
  EXPECT_GE(server_.asked(), 2);
  options_.retry = RetryPolicy{milliseconds(0)};
  server_.say({{404, ""}});
  const auto done = provision(options_, stop_);
  EXPECT_EQ(done.error().code(), Errc::controller_refused);
}

TEST_F(Provision, TheSameOrderThatFailedIsTriedLessAndLessOften) {
  options_.from = order(std::string(64, '0'));
  options_.report_url = server_.url() + "/events";
  options_.retry = RetryPolicy{};
  options_.recheck = milliseconds(100);
  EXPECT_EQ(run_for(milliseconds(2'000)).error().code(), Errc::cancelled);
  // After 0.1, 0.2, 0.4, 0.8 … seconds, and not 20 times.
  EXPECT_GE(server_.results().size(), 3U);
  EXPECT_LE(server_.results().size(), 6U);
}

TEST_F(Provision, WhatAnEarlierRunDidIsActedOnAndNotDoneAgain) {
  options_.from = order(sum_);
  options_.report_url.clear();
  options_.on_success = OnSuccess::reboot;
  ASSERT_TRUE(provision(options_, stop_)) << "the first";
  const ResultSpool spool(options_.run_dir);
  EXPECT_TRUE(spool.kept().empty()) << "acted on";

  // As if it had been killed before that.
  KeptResult kept;
  kept.deploy_id = "an-earlier-one";
  kept.device = disk();
  kept.succeeded = true;
  kept.report_url = server_.url() + "/events";
  kept.cloud_event = R"({"data":{"event":"result"}})";
  kept.request = "another request";
  ASSERT_TRUE(spool.keep(kept));
  wipe();
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_EQ(server_.results(), std::vector<std::string>{kept.cloud_event});
  EXPECT_NE(written(), "0\n") << "written";
  EXPECT_TRUE(spool.kept().empty());

  // The same request is done: the machine acts, and the disk is left as it is.
  KeptResult same = kept;
  same.request = fingerprint(parse_deploy_request(request(sum_), "x").value(), options_);
  ASSERT_TRUE(spool.keep(same));
  wipe();
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_EQ(server_.results().size(), 2U);
  EXPECT_EQ(written(), "0\n") << "not written";
  EXPECT_TRUE(spool.kept().empty());

  // With 204 only the server knows what it was, and so does what was kept.
  ASSERT_TRUE(spool.keep(kept));
  wipe();
  options_.from = server_.url() + "/x";
  server_.say({{204, ""}});
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_EQ(server_.results().size(), 3U);
  EXPECT_EQ(written(), "0\n") << "not written";
  EXPECT_TRUE(spool.kept().empty());
}

TEST_F(Provision, ASuccessNobodyWasToldOfIsStillToldWhenAnotherRequestIsDone) {
  options_.from = order(sum_);
  options_.report_url.clear();
  const ResultSpool spool(options_.run_dir);
  KeptResult kept;
  kept.deploy_id = "an-earlier-one";
  kept.request = "another request";
  kept.succeeded = true;
  kept.report_url = "http://127.0.0.1:9/events";  // nobody answers
  kept.cloud_event = R"({"data":{"event":"result"}})";
  ASSERT_TRUE(spool.keep(kept));
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_NE(written(), "0\n");
  ASSERT_EQ(spool.kept().size(), 1U);
  EXPECT_EQ(spool.kept()[0].cloud_event, kept.cloud_event);
  EXPECT_FALSE(spool.kept()[0].succeeded) << "what the disk holds now is of the other request";
}

TEST_F(Provision, ARunThatEndedIsNotTheNextOnesThoughNobodyWasToldOfIt) {
  options_.from = order(sum_);
  options_.report_url = "http://127.0.0.1:9/events";
  options_.report_patience = milliseconds(100);
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_EQ(ResultSpool(options_.run_dir).kept().size(), 1U);
  wipe();
  ASSERT_TRUE(provision(options_, stop_));
  EXPECT_NE(written(), "0\n") << "asked for again, and the disk may be another one";
  EXPECT_EQ(ResultSpool(options_.run_dir).kept().size(), 2U) << "both are told later";
}

TEST_F(Provision, With204AsWellTheOptionsSayWhatIsDoneThen) {
  server_.say({{204, ""}});
  const ResultSpool spool(options_.run_dir);
  KeptResult kept;
  kept.deploy_id = "an-earlier-one";
  kept.succeeded = true;
  kept.on_success = "reboot";
  ASSERT_TRUE(spool.keep(kept));
  options_.power = PowerMode::real;  // and not allowed: a reboot would be an error
  options_.dry_run = true;
  EXPECT_TRUE(provision(options_, stop_));
  EXPECT_EQ(spool.kept().size(), 1U) << "a dry run leaves it";
  options_.dry_run = false;
  EXPECT_FALSE(provision(options_, stop_)) << "as the request said";
  EXPECT_EQ(spool.kept().size(), 1U);
  options_.on_success = OnSuccess::none;
  EXPECT_TRUE(provision(options_, stop_));
  EXPECT_TRUE(spool.kept().empty());
}

TEST_F(Provision, AReportUrlThatIsNoneStaysWrong) {
  options_.report_url = "ftp://x/events";
  options_.ram_disk = true;
  options_.recheck = milliseconds(100);
  server_.say({{204, ""}});
  const auto done = run_for(milliseconds(500));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::cancelled);
  EXPECT_EQ(server_.asked(), 0);
}

TEST_F(Provision, AnOrderIsReportedToAWholeUrl) {
  options_.from.clear();
  options_.order.emplace().urls = {"file://" + image()};
  options_.order->checksum.value_or_url = sum_;
  const auto done = provision(options_, stop_);  // "/events"
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::usage_option);
  EXPECT_THAT(done.error().advice(), HasSubstr("a whole URL"));
  EXPECT_EQ(written(), "0\n");
}

TEST_F(Provision, ARebootThatFailsIsSaidThoughItIsTriedForEver) {
  server_.say({{204, ""}});
  KeptResult kept;
  kept.deploy_id = "an-earlier-one";
  kept.succeeded = true;
  kept.on_success = "reboot";
  ASSERT_TRUE(ResultSpool(options_.run_dir).keep(kept));
  options_.power = PowerMode::real;  // and not allowed
  options_.retry = RetryPolicy{};
  testing::internal::CaptureStderr();
  const auto done = run_for(milliseconds(300));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("rebooting this machine: "));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::cancelled);
}

TEST_F(Provision, NothingIsWrittenThatCouldNotBeActedOn) {
  options_.from = order(sum_);
  options_.report_url.clear();
  options_.power = PowerMode::real;
  options_.on_success = OnSuccess::poweroff;
  const auto done = provision(options_, stop_);
  EXPECT_EQ(done.error().code(), Errc::usage_option);
  EXPECT_EQ(written(), "0\n");
}

TEST_F(Provision, TellsWhatItDoesNow) {
  std::vector<std::string> told;
  std::mutex mutex;
  options_.status = [&](const std::string& what) {
    const std::lock_guard lock(mutex);
    if (told.empty() || told.back() != what) told.push_back(what);
  };
  options_.from = order(sum_);
  options_.report_url.clear();
  options_.yes = true;
  ASSERT_TRUE(provision(options_, stop_));
  const std::lock_guard lock(mutex);
  ASSERT_GE(told.size(), 2U);
  EXPECT_EQ(told.front(), "Asking " + options_.from + " what this machine is to become");
  EXPECT_THAT(told, testing::Contains("Done with " + disk()));
}

}  // namespace
}  // namespace ingot::agent
