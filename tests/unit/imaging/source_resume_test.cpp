// open_source() over a server that breaks: the right bytes come, by resuming where that is safe and
// by starting over with proof where it is not; else the right error, in bounded time.
#include "tests/unit/imaging/source_rig.hpp"

namespace ingot::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using SourceResumeTest = SourceTest;

TEST_F(SourceResumeTest, WholeObject) {
  const auto fetch = expect_whole({url()});
  EXPECT_EQ(fetch->stream().size(), kSize);
  EXPECT_EQ(fetch->counters.bytes_expected, static_cast<std::int64_t>(kSize));
  EXPECT_EQ(fetch->listener.retries().size(), 0U);
  // The end stays an end.
  EXPECT_TRUE(fetch->stream().next()->empty());
  EXPECT_TRUE(fetch->stream().next()->empty());
}

TEST_F(SourceResumeTest, SizesAroundABlock) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, imaging::kStreamBlock - 1, imaging::kStreamBlock,
        imaging::kStreamBlock + 1, 2 * imaging::kStreamBlock}) {
    const Bytes some = noise(size, 7);
    directory().write("sized", some);
    for (const std::string query : {"", "?chunked=1", "?length=none"}) {
      Fetch fetch({server().url() + "/sized" + query});
      const auto got = fetch.all();
      ASSERT_TRUE(got) << fetch.text();
      EXPECT_TRUE(*got == some) << size << query;
    }
  }
}

TEST_F(SourceResumeTest, TruncationAndResetAreResumedAtTheByte) {
  for (const std::string fault : {"truncate=1", "reset=1"}) {
    for (const std::size_t at : {std::size_t{1}, std::size_t{777'777}, imaging::kStreamBlock,
                                 2 * imaging::kStreamBlock + 1, kSize - 1}) {
      const auto fetch = expect_whole({url(fault + "&times=1&at=" + std::to_string(at))});
      ASSERT_EQ(fetch->listener.retries().size(), 1U);
      // A reset throws away what had come and was not read yet.
      const std::uint64_t offset = fetch->listener.retries()[0].offset;
      EXPECT_TRUE(fault == "reset=1" ? offset <= at : offset == at) << fault << ": " << offset;
      EXPECT_EQ(fetch->listener.retries()[0].attempt, 1);
      EXPECT_EQ(fetch->counters.bytes_expected, static_cast<std::int64_t>(kSize));
    }
  }
  EXPECT_THAT(requests(), HasSubstr("\"range\": \"bytes=777777-\""));
}

TEST_F(SourceResumeTest, ManyBreaksEachWithNewBytesNeverReachADeadline) {
  auto options = fast_options();
  options.retry_deadline = 300ms;
  const auto fetch = expect_whole({url("reset=1&every=400000&rate=10000000")}, options);
  EXPECT_GE(fetch->listener.retries().size(), 10U);
}

TEST_F(SourceResumeTest, StallIsNoticedAndResumed) {
  const auto fetch = expect_whole({url("stall=60&times=1&at=2000000")});
  ASSERT_EQ(fetch->listener.retries().size(), 1U);
  EXPECT_THAT(fetch->listener.retries()[0].reason, HasSubstr("sent nothing for 300 ms"));
  EXPECT_EQ(fetch->listener.retries()[0].offset, 2'000'000U);
}

TEST_F(SourceResumeTest, SlowIsNoStall) {
  const auto fetch = expect_whole({url("rate=15000000")});
  EXPECT_EQ(fetch->listener.retries().size(), 0U);
}

TEST_F(SourceResumeTest, IfRangeCarriesTheStrongEtag) {
  expect_whole({url("reset=1&times=1&at=2000000")});
  EXPECT_THAT(requests(), HasSubstr("\"if-range\": \"\\\""));
}

TEST_F(SourceResumeTest, WithoutStrongEtagAnOldLastModifiedIsUsed) {
  for (const std::string etag : {"etag=weak", "etag=none"}) {
    (void)requests(true);
    const auto fetch = expect_whole({url(etag + "&reset=1&times=1&at=2000000")});
    EXPECT_EQ(fetch->listener.retries()[0].offset, 2'000'000U);
    EXPECT_THAT(requests(), HasSubstr("\"if-range\": \"Sun, 13 Sep 2020"));
  }
}

TEST_F(SourceResumeTest, WithoutAStrongValidatorItStartsOverWithProof) {
  for (const std::string validators :
       {"etag=none&modified=none", "etag=weak&modified=none", "etag=weak&modified=now"}) {
    (void)requests(true);
    const auto fetch = expect_whole({url(validators + "&reset=1&times=1&at=3000000")});
    ASSERT_EQ(fetch->listener.retries().size(), 1U);
    EXPECT_EQ(fetch->listener.retries()[0].offset, 0U);
    EXPECT_THAT(requests(), Not(HasSubstr("\"range\""))) << validators;
  }
}

TEST_F(SourceResumeTest, ServersThatCannotResumeAreStartedOverWithProof) {
  for (const std::string behaviour :
       {"ranges=ignored", "ranges=shifted", "ranges=416", "ranges=multipart", "accept=none",
        "etag=changing", "ranges=unconditional&etag=changing", "chunked=1&ranges=ignored",
        "length=none&ranges=ignored"}) {
    const auto fetch = expect_whole({url(behaviour + "&reset=1&times=1&at=3000000")});
    EXPECT_GE(fetch->listener.retries().size(), 1U) << behaviour;
    EXPECT_LE(fetch->listener.retries().size(), 2U) << behaviour;
  }
}

TEST_F(SourceResumeTest, BreaksDuringTheProofAreSurvived) {
  // Three breaks at the same place: two of them while the first 2 MiB are being compared.
  const auto fetch = expect_whole({url("ranges=ignored&reset=1&times=3&every=2500000")});
  EXPECT_EQ(fetch->listener.retries().size(), 3U);
}

TEST_F(SourceResumeTest, PartialRangesAreAskedForAgain) {
  const auto fetch = expect_whole({url("ranges=half&reset=1&times=1&at=100000")});
  EXPECT_GE(fetch->listener.retries().size(), 3U);
}

TEST_F(SourceResumeTest, ChunkedBodiesThatEndEarlyAreResumed) {
  const auto fetch = expect_whole({url("chunked=1&truncate=1&times=1&at=3000000")});
  ASSERT_EQ(fetch->listener.retries().size(), 1U);
  EXPECT_EQ(fetch->listener.retries()[0].offset, 3'000'000U);
  EXPECT_EQ(fetch->stream().size(), std::nullopt) << "constant from the first slice on";
}

TEST_F(SourceResumeTest, ReplacedFileIsNoticed) {
  // The transfer breaks, and what the server has then is another file of the same size. With an
  // ETag it says so by answering If-Range with the whole; without, only the comparison tells.
  const auto other = noise(kSize, 99);  // made before the clock runs
  for (const std::string validators : {"", "&etag=none&modified=none", "&ranges=ignored"}) {
    directory().write("replaced", bytes());
    Fetch fetch({server().url() + "/replaced?rate=20000000&reset=1&times=1" + validators});
    ASSERT_FALSE(fetch.error) << fetch.text();
    directory().write("replaced", other);
    EXPECT_FALSE(fetch.all());
    ASSERT_TRUE(fetch.error);
    EXPECT_EQ(fetch.error->code(), Errc::source_changed) << fetch.text();
    EXPECT_THAT(fetch.error->message(), HasSubstr("bytes are no longer"));
  }
}

TEST_F(SourceResumeTest, ReplacedByAnotherSizeIsNoticed) {
  directory().write("resized", bytes());
  const auto other = noise(kSize - 1);
  Fetch fetch({server().url() + "/resized?rate=20000000&reset=1&times=1"});
  ASSERT_FALSE(fetch.error) << fetch.text();
  directory().write("resized", other);
  EXPECT_FALSE(fetch.all());
  ASSERT_TRUE(fetch.error);
  EXPECT_EQ(fetch.error->code(), Errc::source_changed) << fetch.text();
}

TEST_F(SourceResumeTest, CorruptedBytesArriveAsSentForTheDigestToJudge) {
  Fetch fetch({url("corrupt=1234567")});
  const auto got = fetch.all();
  ASSERT_TRUE(got) << fetch.text();
  EXPECT_EQ(got->size(), kSize);
  EXPECT_FALSE(*got == bytes());
}

TEST_F(SourceResumeTest, AnnouncedTooLongIsAnError) {
  // Every answer ends early; asked to go on at the real end, the server denies its own length.
  const auto fetch = expect_error({url("length=1000")}, Errc::source_changed);
  EXPECT_THAT(fetch->text(), HasSubstr("bytes now"));
}

TEST_F(SourceResumeTest, AnnouncedTooShortIsCutThere) {
  Fetch fetch({url("length=-1000")});
  const auto got = fetch.all();
  ASSERT_TRUE(got) << fetch.text();
  EXPECT_EQ(got->size(), kSize - 1000) << "nothing but the digest can tell";
}

TEST_F(SourceResumeTest, BusyServersAreAskedAgain) {
  for (const std::string status : {"500", "502", "503", "504", "429", "408"}) {
    const auto fetch = expect_whole({url("times=3&status=" + status)});
    EXPECT_EQ(fetch->listener.retries().size(), 3U) << status;
    EXPECT_THAT(fetch->listener.retries()[0].reason, HasSubstr("answered " + status));
  }
}

TEST_F(SourceResumeTest, RetryAfterIsRespected) {
  const auto start = std::chrono::steady_clock::now();
  expect_whole({url("times=1&status=503&retry_after=1")});
  EXPECT_GE(std::chrono::steady_clock::now() - start, 1s);
}

TEST_F(SourceResumeTest, RetryAfterDoesNotOutlastTheDeadline) {
  auto options = fast_options();
  options.retry_deadline = 300ms;
  expect_error({url("status=503&retry_after=3600")}, Errc::source_deadline, 1500ms, options);
}

TEST_F(SourceResumeTest, DeadlineEndsItAndTellsTheLastCause) {
  auto options = fast_options();
  options.retry_deadline = 200ms;
  for (const auto& [query, cause] : std::vector<std::pair<std::string, std::string>>{
           {"status=503", "answered 503"},
           {"reset=1&at=3000000&ranges=ignored", "receiving data from the peer"},
           {"stall=60&at=3000000", "sent nothing"},
           {"first_byte=60", "sent nothing"}}) {
    const auto fetch = expect_error({url(query)}, Errc::source_deadline, 3s, options);
    EXPECT_THAT(fetch->text(), HasSubstr(cause)) << query;
  }
}

TEST_F(SourceResumeTest, DroppedMidwayMirrorResumesFirstThenTheNextOneIsProven) {
  directory().write("mirror", bytes());
  const std::string mirror = server().url() + "/mirror";
  // One break: the same server goes on.
  auto fetch = expect_whole({url("reset=1&times=1&at=3000000"), mirror});
  EXPECT_EQ(fetch->listener.retries().size(), 1U);
  EXPECT_THAT(requests(), Not(HasSubstr("/mirror")));
  // It stays broken: the mirror starts from zero, is compared, and brings the rest.
  fetch = expect_whole({url("reset=1&at=3000000"), mirror});
  EXPECT_EQ(fetch->listener.retries().back().offset, 0U);
  EXPECT_THAT(requests(), HasSubstr("/mirror"));
}

TEST_F(SourceResumeTest, MirrorsFailOver) {
  const std::string refused = "http://127.0.0.1:1/image";
  expect_whole({url("status=404"), url()});
  expect_whole({refused, url("status=403"), url("garbage=1"), url()});
  expect_whole({refused, "file:///nonexistent/image", "file://" + directory().path("image")});
}

TEST_F(SourceResumeTest, AMirrorWithAnotherFileIsPassedOver) {
  directory().write("other", noise(kSize, 5));
  directory().write("shorter", noise(kSize / 2, 5));
  expect_whole(
      {url("reset=1&at=3000000&times=2"), server().url() + "/other", server().url() + "/shorter"});
}

TEST_F(SourceResumeTest, AllMirrorsOutIsFinalAtOnce) {
  auto options = fast_options();
  options.retry_deadline = 60s;
  const auto fetch =
      expect_error({url("status=404"), url("status=403")}, Errc::source_http_status, 1s, options);
  EXPECT_THAT(fetch->text(), HasSubstr("answered 404"));
  EXPECT_THAT(fetch->text(), HasSubstr("answered 403"));
  EXPECT_THAT(fetch->error->advice(), HasSubstr("path"));
}

TEST_F(SourceResumeTest, NginxIsResumed) {
  // The real thing: nginx's own ETag, If-Range and ranges, its worker killed in mid-transfer.
  constexpr std::size_t kLarge = 40 * MiB;  // more than all buffers on the way take
  const Bytes large = noise(kLarge, 3);
  directory().write("large", large);
  Server nginx(
      {support_path("../demo/serve-directory"), directory().path("."), directory().path("state")});
  Fetch fetch({nginx.first_line() + "/large"});
  ASSERT_TRUE(fetch.stream().next()) << fetch.text();
  ASSERT_NE(fetch.stream().ranges(), nullptr);
  Bytes part(100'000);
  ASSERT_TRUE(fetch.stream().ranges()->read(20'000'001, part));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), large.begin() + 20'000'001));

  std::string master;
  pid_t worker = 0;
  std::ifstream(directory().path("state/nginx.pid")) >> master;
  std::ifstream("/proc/" + master + "/task/" + master + "/children") >> worker;
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGKILL);

  const auto rest = fetch.all();
  ASSERT_TRUE(rest) << fetch.text();
  EXPECT_TRUE(std::equal(rest->begin(), rest->end(), large.begin() + imaging::kStreamBlock));
  EXPECT_EQ(rest->size() + imaging::kStreamBlock, kLarge);
  ASSERT_GE(fetch.listener.retries().size(), 1U);
  EXPECT_GT(fetch.listener.retries()[0].offset, 0U);
}

}  // namespace
}  // namespace ingot::test
