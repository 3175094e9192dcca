// The source's parts that decide without a network: header fields and the retry plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imaging/http_head.hpp"
#include "imaging/retry_plan.hpp"

namespace ingot::imaging {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST(ContentRangeTest, Strict) {
  const auto good = parse_content_range("bytes 5-9/10");
  ASSERT_TRUE(good && good->range);
  EXPECT_EQ(good->range->first, 5U);
  EXPECT_EQ(good->range->last, 9U);
  EXPECT_EQ(good->total, 10U);
  EXPECT_EQ(parse_content_range("bytes 0-0/*")->total, std::nullopt);
  EXPECT_FALSE(parse_content_range("bytes */7")->range);
  EXPECT_EQ(parse_content_range("Bytes */7")->total, 7U);
  for (const char* bad :
       {"", "bytes", "bytes ", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -5/10",
        "bytes 5-/10", "bytes */*", "bytes a-b/c", "items 5-9/10", "bytes 5-9/10,20-21/30",
        "bytes 0-18446744073709551615/*", "bytes 0-1/9223372036854775808", "bytes +1-2/10",
        "bytes 1 -2/10", "bytes 0x1-2/10"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
}

Result<HttpHead> parse(std::initializer_list<std::string_view> lines) {
  HttpHeadParser parser;
  for (const auto line : lines) INGOT_TRY(parser.line(std::string(line) + "\r\n"));
  INGOT_TRY(parser.line("\r\n"));
  EXPECT_TRUE(parser.complete());
  return parser.head();
}

TEST(HttpHeadTest, InterimAnswersArePassedOver) {
  const auto head =
      parse({"HTTP/1.1 103 Early", "ETag: \"no\"", "", "HTTP/1.1 200 OK", "content-LENGTH:  12 "});
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->content_length, 12U);
  EXPECT_EQ(head->etag, "");
}

TEST(HttpHeadTest, Validators) {
  constexpr std::string_view kOk = "HTTP/1.1 200 OK";
  constexpr std::string_view kDate = "Date: Sun, 13 Sep 2020 12:26:41 GMT";
  constexpr std::string_view kSecondBefore = "Last-Modified: Sun, 13 Sep 2020 12:26:40 GMT";
  constexpr std::string_view kSame = "Last-Modified: Sun, 13 Sep 2020 12:26:41 GMT";
  EXPECT_EQ(parse({kOk, "ETag: \"a\"", kDate, kSecondBefore})->range_validator, "\"a\"");
  EXPECT_EQ(parse({kOk, "ETag: W/\"a\"", kDate, kSecondBefore})->range_validator,
            kSecondBefore.substr(15));
  EXPECT_EQ(parse({kOk, kDate, kSame})->range_validator, "");
  EXPECT_EQ(parse({kOk, kSecondBefore})->range_validator, "") << "no Date to compare with";
  EXPECT_EQ(parse({kOk, kDate, "Last-Modified: yesterday"})->range_validator, "");
  EXPECT_EQ(parse({kOk, "ETag: unquoted"})->range_validator, "");
  EXPECT_EQ(parse({kOk, "ETag: \"a\rX: y\""})->range_validator, "") << "would be sent back";
}

TEST(HttpHeadTest, WhatDecidesAboutTheBodyMustBeClear) {
  constexpr std::string_view kOk = "HTTP/1.1 200 OK";
  EXPECT_TRUE(parse({kOk, "Content-Length: 5", "Content-Length: 5"}));
  EXPECT_FALSE(parse({kOk, "Content-Length: 5", "Content-Length: 6"}));
  for (const auto bad : {"-1", "5, 5", "0x5", "9223372036854775808", "", "5 5"})
    EXPECT_FALSE(parse({kOk, std::string("Content-Length: ") + bad})) << bad;
  EXPECT_FALSE(parse({kOk, "Transfer-Encoding: gzip, chunked"}));
  EXPECT_EQ(parse({kOk, "Content-Length: 5", "Transfer-Encoding: Chunked"})->content_length,
            std::nullopt);
  EXPECT_FALSE(parse({"HTTP/1.1 206 Part", "Content-Range: bytes 9-5/3"}));
  EXPECT_FALSE(parse({"HTTP/1.1 999 What"}));
  EXPECT_FALSE(parse({"HTTP/1.1"}));
  EXPECT_EQ(parse({kOk, "Content-Encoding: \x1b[2Jbr"})->content_encoding, "\\x1b[2Jbr");
}

TransferOptions options() {
  TransferOptions some;
  some.backoff_first = 100ms;
  some.backoff_max = 1000ms;
  some.retry_deadline = 10s;
  return some;
}

TransferFailure transient(const std::string& why = "why") {
  return {TransferFailure::Verdict::transient, Error(Errc::source_unreachable, why)};
}
TransferFailure out(Errc code, const std::string& why = "out") {
  return {TransferFailure::Verdict::mirror, Error(code, why)};
}

TEST(RetryPlanTest, BackOffDoublesWithJitterUpToItsLimit) {
  RetryPlan plan(1, options(), 1);
  const auto start = RetryPlan::Clock::now();
  for (const auto most : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto next = plan.after(transient(), false, start, start).value();
    EXPECT_GE(next.delay, most / 2);
    EXPECT_LE(next.delay, most);
  }
  EXPECT_EQ(plan.attempts(), 6);
  EXPECT_LE(plan.after(transient(), true, start, start)->delay, 100ms) << "progress starts over";
}

TEST(RetryPlanTest, MirrorsTakeTurnsAndOnlyThenIsWaited) {
  RetryPlan plan(3, options(), 1);
  const auto now = RetryPlan::Clock::now();
  const auto next = [&](bool progressed) {
    return plan.after(transient(), progressed, now, now).value();
  };
  EXPECT_EQ(next(false).mirror, 1U);
  const auto third = next(false);
  EXPECT_EQ(third.mirror, 2U);
  EXPECT_EQ(third.delay, 0ms);
  const auto first = next(false);
  EXPECT_EQ(first.mirror, 0U);
  EXPECT_GT(first.delay, 0ms);
  EXPECT_EQ(next(true).mirror, 0U) << "who brought bytes can resume";
  EXPECT_TRUE(plan.after(out(Errc::source_protocol), false, now, now));
  EXPECT_EQ(plan.mirror(), 1U);
  EXPECT_EQ(next(false).mirror, 2U);
  EXPECT_EQ(next(false).mirror, 1U) << "0 is out";
}

TEST(RetryPlanTest, AllOutReportsThePreferredMirrorUnlessTheFileChanged) {
  const auto now = RetryPlan::Clock::now();
  RetryPlan plan(2, options(), 1);
  EXPECT_TRUE(plan.after(out(Errc::source_http_status, "first"), false, now, now));
  auto over = plan.after(out(Errc::source_tls, "second"), false, now, now);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Errc::source_http_status);
  EXPECT_EQ(over.error().message(), "first; second");
  RetryPlan changed(2, options(), 1);
  EXPECT_TRUE(changed.after(out(Errc::source_http_status), false, now, now));
  over = changed.after(out(Errc::source_changed), true, now, now);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Errc::source_changed);
}

TEST(RetryPlanTest, DeadlineCountsFromTheLastNewByte) {
  RetryPlan plan(1, options(), 1);
  const auto start = RetryPlan::Clock::now();
  EXPECT_TRUE(plan.after(transient(), false, start + 100s, start + 91s));
  EXPECT_LE(plan.after(transient(), false, start + 9990ms, start)->delay, 10ms);
  const auto over = plan.after(transient("the cause"), false, start + 10s, start);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Errc::source_deadline);
  EXPECT_THAT(over.error().message(), HasSubstr("the cause"));
}

TransferFailure no_such_name() {
  TransferFailure failure = transient("no such name");
  failure.no_such_name = true;
  return failure;
}

TEST(RetryPlanTest, ANameThatDoesNotExistIsTriedForAShortWhile) {
  TransferOptions patient = options();
  patient.retry_deadline = 300s;
  RetryPlan plan(1, patient, 1);
  const auto start = RetryPlan::Clock::now();
  const auto first = plan.after(no_such_name(), false, start + 1s, start).value();
  EXPECT_EQ(first.left, 10s);
  EXPECT_FALSE(first.until_deadline);
  const auto last = plan.after(no_such_name(), false, start + 10'990ms, start).value();
  EXPECT_LE(last.delay, 10ms);
  const auto over = plan.after(no_such_name(), false, start + 11s, start);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), Errc::source_unreachable);
}

TEST(RetryPlanTest, AnotherFailureInBetweenStartsTheWhileOver) {
  TransferOptions patient = options();
  patient.retry_deadline = 300s;
  RetryPlan plan(1, patient, 1);
  const auto start = RetryPlan::Clock::now();
  EXPECT_TRUE(plan.after(no_such_name(), false, start, start));
  const auto other = plan.after(transient(), false, start + 9s, start).value();
  EXPECT_EQ(other.left, 291s);
  EXPECT_TRUE(other.until_deadline);
  EXPECT_TRUE(plan.after(no_such_name(), false, start + 11s, start));
  EXPECT_FALSE(plan.after(no_such_name(), false, start + 21s, start));
}

TEST(RetryPlanTest, ANameThatWasThereHasTheWholeDeadline) {
  TransferOptions patient = options();
  patient.retry_deadline = 300s;
  RetryPlan plan(1, patient, 1);
  const auto start = RetryPlan::Clock::now();
  EXPECT_TRUE(plan.after(transient(), true, start, start));
  EXPECT_TRUE(plan.after(no_such_name(), false, start + 1s, start)->until_deadline);
  EXPECT_TRUE(plan.after(no_such_name(), false, start + 200s, start));
}

TEST(RetryPlanTest, ANameThatDoesNotExistLeavesTheOtherMirrors) {
  TransferOptions patient = options();
  patient.retry_deadline = 300s;
  RetryPlan plan(2, patient, 1);
  const auto start = RetryPlan::Clock::now();
  EXPECT_TRUE(plan.after(no_such_name(), false, start, start)->until_deadline);
  EXPECT_EQ(plan.after(transient(), false, start, start)->mirror, 0U);
  EXPECT_EQ(plan.after(no_such_name(), false, start + 10s, start)->mirror, 1U);
  EXPECT_EQ(plan.after(transient(), false, start + 11s, start)->mirror, 1U) << "0 is out";
}

TEST(RetryPlanTest, RetryAfterWithinTheDeadline) {
  RetryPlan plan(1, options(), 1);
  const auto start = RetryPlan::Clock::now();
  auto busy = transient();
  busy.retry_after = 5s;
  EXPECT_EQ(plan.after(busy, false, start, start)->delay, 5s);
  busy.retry_after = 3600s;
  EXPECT_EQ(plan.after(busy, false, start + 1s, start)->delay, 9s);
}

}  // namespace
}  // namespace ingot::imaging
