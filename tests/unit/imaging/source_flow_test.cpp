// open_source()'s flow: back-pressure, memory, cancelling wherever it waits; files; ranges; and
// fetch_text().
#include <sys/stat.h>

#include <thread>

#include "tests/unit/imaging/source_rig.hpp"

namespace ingot::test {
namespace {

using ::testing::HasSubstr;

class SourceFlowTest : public SourceTest {
 public:
  // Reads until an error; requests stop after `delay`; the error must come within a second of it.
  static void expect_prompt_cancel(Fetch& fetch, std::chrono::milliseconds delay) {
    std::chrono::steady_clock::time_point requested;
    std::thread canceller([&] {
      std::this_thread::sleep_for(delay);
      requested = std::chrono::steady_clock::now();
      fetch.stop().request_stop();
    });
    (void)fetch.all();
    const auto ended = std::chrono::steady_clock::now();
    canceller.join();
    ASSERT_TRUE(fetch.error);
    EXPECT_EQ(fetch.error->code(), Errc::cancelled) << fetch.text();
    EXPECT_LT(ended - requested, 1s);
  }
  static imaging::TransferOptions patient() {
    auto options = fast_options();
    options.stall_timeout = options.retry_deadline = options.backoff_first = options.backoff_max =
        60s;
    return options;
  }
};

TEST_F(SourceFlowTest, ASlowReaderLosesNothingAndIsNoStall) {
  auto options = fast_options();
  options.stall_timeout = 50ms;
  Fetch fetch({url()}, options, 2);
  const auto got = fetch.all(100ms);
  ASSERT_TRUE(got) << fetch.text();
  EXPECT_TRUE(*got == bytes());
  EXPECT_EQ(fetch.listener.retries().size(), 0U);
}

TEST_F(SourceFlowTest, ReceivesNoFurtherThanTheRing) {
  Fetch fetch({url()}, fast_options(), 3);
  ASSERT_FALSE(fetch.error) << fetch.text();
  std::this_thread::sleep_for(200ms);
  EXPECT_LE(fetch.counters.bytes_received, 3 * imaging::kStreamBlock);
  EXPECT_TRUE(fetch.all());
}

TEST_F(SourceFlowTest, CancelledDuringAStall) {
  Fetch fetch({url("stall=60&at=2000000")}, patient());
  expect_prompt_cancel(fetch, 100ms);
}

TEST_F(SourceFlowTest, CancelledDuringBackOff) {
  Fetch fetch({url("reset=1&at=2000000")}, patient());
  expect_prompt_cancel(fetch, 200ms);
  EXPECT_EQ(fetch.listener.retries().size(), 1U);
}

TEST_F(SourceFlowTest, CancelledBeforeTheFirstAnswer) {
  for (const std::string& address :
       {url("first_byte=60"), std::string("http://192.0.2.1/image"), url("status=503")}) {
    std::stop_source stop;
    ProgressCounters counters;
    Listener listener;
    std::thread canceller([&] {
      std::this_thread::sleep_for(100ms);
      stop.request_stop();
    });
    auto options = patient();
    options.connect_timeout = 60s;
    const auto start = std::chrono::steady_clock::now();
    const auto opened =
        imaging::open_source({address}, options, 2, {}, counters, listener, stop.get_token());
    canceller.join();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Errc::cancelled) << opened.error().message();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  }
}

TEST_F(SourceFlowTest, CancelledWithAFullQueue) {
  Fetch fetch({url()}, patient(), 2);
  std::this_thread::sleep_for(100ms);  // full by now
  const auto start = std::chrono::steady_clock::now();
  fetch.stop().request_stop();
  EXPECT_FALSE(fetch.all());
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(SourceFlowTest, DestroyedAtAnyPointWithoutCancelling) {
  for (const std::string query : {"", "stall=60", "first_byte=0.05&ranges=ignored&reset=1"}) {
    const auto start = std::chrono::steady_clock::now();
    {
      std::stop_source stop;
      ProgressCounters counters;
      Listener listener;
      imaging::DigestTap tap(DigestType::md5, stop.get_token());
      auto source = imaging::open_source(
          {url(query)}, patient(), 2, [&](std::uint64_t n) { return tap.prefix(n); }, counters,
          listener, stop.get_token());
      ASSERT_TRUE(source);
      tap.attach(**source);
      (void)tap.next();
      std::this_thread::sleep_for(50ms);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s) << query;
  }
}

// Ranges.

TEST_F(SourceFlowTest, RangesOfTheSameObject) {
  Fetch fetch({url("to={self}/image")}, fast_options(), 2);
  auto* ranges = fetch.stream().ranges();
  ASSERT_NE(ranges, nullptr);
  for (const auto& [offset, length] : std::vector<std::pair<std::size_t, std::size_t>>{
           {kSize - 1, 1}, {0, 512}, {1'000'001, 3 * MiB}, {17, 0}, {kSize - 70'000, 70'000}}) {
    Bytes part(length);
    const auto read = ranges->read(offset, part);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + offset));
  }
  Bytes part(100);
  EXPECT_EQ(ranges->read(kSize - 99, part).error().cls(), ErrorClass::source);
  EXPECT_EQ(ranges->read(UINT64_MAX - 10, part).error().cls(), ErrorClass::source);
  const auto rest = fetch.all();
  ASSERT_TRUE(rest) << fetch.text();
  EXPECT_TRUE(*rest == bytes());
}

TEST_F(SourceFlowTest, RangesSurviveBreaks) {
  Fetch fetch({url("reset=1&times=4&after=1&every=200000")}, fast_options(), 2);
  auto* ranges = fetch.stream().ranges();
  ASSERT_NE(ranges, nullptr);
  Bytes part(MiB);
  const auto read = ranges->read(123, part);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + 123));
}

TEST_F(SourceFlowTest, NoRangesWhereTheyCannotBeTrusted) {
  for (const std::string query : {"accept=none", "accept=silent", "chunked=1", "length=none",
                                  "etag=none&modified=none", "etag=weak&modified=none"}) {
    Fetch fetch({url(query)});
    EXPECT_EQ(fetch.stream().ranges(), nullptr) << query;
  }
}

TEST_F(SourceFlowTest, WrongRangesAreErrors) {
  for (const auto& [query, code] : std::vector<std::pair<std::string, Errc>>{
           {"ranges=ignored", Errc::source_protocol},
           {"ranges=shifted", Errc::source_protocol},
           {"ranges=half", Errc::source_protocol},
           {"ranges=416", Errc::source_protocol},
           {"ranges=multipart", Errc::source_protocol},
           {"ranges=total", Errc::source_changed},
           {"etag=changing", Errc::source_changed},
           {"ranges=unconditional&etag=changing", Errc::source_changed},
           {"stall=60&at=1000000&after=1", Errc::source_deadline}}) {
    auto options = fast_options();
    options.retry_deadline = 500ms;
    Fetch fetch({url(query)}, options);
    ASSERT_NE(fetch.stream().ranges(), nullptr) << query;
    Bytes part(100'000);
    const auto read = fetch.stream().ranges()->read(950'000, part);
    ASSERT_FALSE(read) << query;
    EXPECT_EQ(name(read.error().code()), name(code)) << query << ": " << read.error().message();
  }
}

TEST_F(SourceFlowTest, ARangeReadIsCancelled) {
  Fetch fetch({url("stall=60&at=1000000&after=1")}, patient());
  ASSERT_NE(fetch.stream().ranges(), nullptr);
  std::thread canceller([&] {
    std::this_thread::sleep_for(100ms);
    fetch.stop().request_stop();
  });
  Bytes part(100'000);
  const auto start = std::chrono::steady_clock::now();
  const auto read = fetch.stream().ranges()->read(950'000, part);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  canceller.join();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::cancelled);
}

// Files.

TEST_F(SourceFlowTest, Files) {
  const std::string address = "file://" + directory().path("image");
  const auto fetch = expect_whole({address});
  EXPECT_EQ(fetch->stream().size(), kSize);
  Bytes part(1000);
  ASSERT_TRUE(fetch->stream().ranges()->read(4711, part));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + 4711));
  EXPECT_EQ(fetch->stream().ranges()->read(kSize, part).error().cls(), ErrorClass::source);

  std::filesystem::copy(directory().path("image"), directory().path("with space"));
  expect_whole({"file://" + directory().path("with%20space")});

  auto options = fast_options();
  options.allow_file = false;
  expect_error({address}, Errc::usage_option, 1s, options);
}

TEST_F(SourceFlowTest, FilesThatAreNone) {
  ::mkfifo(directory().path("fifo").c_str(), 0600);
  const std::string base = "file://" + directory().path("");
  expect_error({base + "missing"}, Errc::source_file, 1s);
  expect_error({base}, Errc::source_file, 1s);
  expect_error({base + "fifo"}, Errc::source_file, 1s);
  expect_error({"file:///dev/zero"}, Errc::source_file, 1s);
}

TEST_F(SourceFlowTest, AFileThatShrinksIsNoticed) {
  directory().write("shrinking", bytes());
  Fetch fetch({"file://" + directory().path("shrinking")}, fast_options(), 2);
  ASSERT_FALSE(fetch.error);
  std::filesystem::resize_file(directory().path("shrinking"), kSize / 2 + imaging::kStreamBlock);
  EXPECT_FALSE(fetch.all());
  ASSERT_TRUE(fetch.error);
  EXPECT_EQ(fetch.error->code(), Errc::source_changed);
}

// Texts.

TEST_F(SourceFlowTest, Texts) {
  const std::string content = "some  checksums\n";
  directory().write("SUMS", bytes_of(content));
  const std::string address = server().url() + "/SUMS";
  for (const std::string query : {"", "?chunked=1", "?reset=1&times=2&at=5", "?times=2&status=503"})
    EXPECT_EQ(imaging::fetch_text(address + query, fast_options(), 1000, {}).value(), content);
  EXPECT_EQ(imaging::fetch_text(address, fast_options(), content.size(), {}).value(), content);
  for (const std::string query : {"", "?chunked=1"}) {
    const auto large = imaging::fetch_text(address + query, fast_options(), content.size() - 1, {});
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code(), Errc::source_protocol);
    EXPECT_THAT(large.error().message(), HasSubstr("more than 15 bytes"));
  }
  EXPECT_EQ(imaging::fetch_text(address + "x", fast_options(), 1000, {}).error().code(),
            Errc::source_http_status);
}

}  // namespace
}  // namespace ingot::test
