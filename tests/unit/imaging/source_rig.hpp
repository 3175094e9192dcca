/// What the source's tests share: short timeouts, a listener that keeps what it is told, and one
/// call that fetches a whole object as stream_image() does.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "imaging/digest_tap.hpp"
#include "imaging/source.hpp"
#include "tests/support/fault_server.hpp"

namespace ingot::test {

using namespace std::chrono_literals;

inline imaging::TransferOptions fast_options() {
  imaging::TransferOptions options;
  options.connect_timeout = 1s;
  options.stall_timeout = 300ms;
  options.retry_deadline = 1500ms;
  options.backoff_first = 5ms;
  options.backoff_max = 40ms;
  return options;
}

class Listener final : public JobListener {
 public:
  struct Retry {
    int attempt;
    std::string reason;
    std::uint64_t offset;
  };
  void on_phase(Phase) override {}
  void on_retry(int attempt, const std::string& reason, std::uint64_t offset) override {
    const std::lock_guard lock(mutex_);
    retries_.push_back({attempt, reason, offset});
  }
  void on_note(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    notes_.push_back(text);
  }
  [[nodiscard]] std::vector<Retry> retries() const {
    const std::lock_guard lock(mutex_);
    return retries_;
  }
  [[nodiscard]] std::vector<std::string> notes() const {
    const std::lock_guard lock(mutex_);
    return notes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Retry> retries_;
  std::vector<std::string> notes_;
};

/// One transfer with everything around it that stream_image() has.
class Fetch {
 public:
  explicit Fetch(std::vector<std::string> urls, imaging::TransferOptions options = fast_options(),
                 std::size_t blocks = 4)
      : tap_(DigestType::sha256, stop_.get_token()) {
    const auto start = std::chrono::steady_clock::now();
    auto opened = imaging::open_source(
        urls, options, blocks, [this](std::uint64_t n) { return tap_.prefix(n); }, counters,
        listener, stop_.get_token());
    open_time = std::chrono::steady_clock::now() - start;
    if (!opened) {
      error = opened.error();
      return;
    }
    source_ = *std::move(opened);
    tap_.attach(*source_);
  }
  ~Fetch() {
    stop_.request_stop();
    source_.reset();
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  /// Reads to the end, and checks the shape of the slices. Nothing, and `error` set, on failure.
  std::optional<Bytes> all(std::chrono::milliseconds pause_between = 0ms) {
    if (error) return std::nullopt;
    Bytes bytes;
    for (bool last = false;;) {
      auto slice = tap_.next();
      if (!slice) {
        error = slice.error();
        return std::nullopt;
      }
      if (slice->empty()) return bytes;
      EXPECT_FALSE(last) << "a short slice that is not the last";
      last = slice->size() != imaging::kStreamBlock;
      bytes.insert(bytes.end(), slice->bytes().begin(), slice->bytes().end());
      if (pause_between > 0ms) std::this_thread::sleep_for(pause_between);
    }
  }
  imaging::ByteStream& stream() { return tap_; }
  std::stop_source& stop() { return stop_; }
  /// The error's message, with its code in front.
  [[nodiscard]] std::string text() const {
    if (!error) return "no error";
    return std::string(name(error->code())) + " " + error->message();
  }

  ProgressCounters counters;
  Listener listener;
  std::optional<Error> error;
  std::chrono::steady_clock::duration open_time{};

 private:
  std::stop_source stop_;
  imaging::DigestTap tap_;
  std::unique_ptr<imaging::ByteStream> source_;
};

/// A fault server with one object, "image" of kSize bytes, for all tests of a suite.
class SourceTest : public ::testing::Test {
 public:
  static constexpr std::size_t kSize = 5 * MiB + 12345;

  static void SetUpTestSuite() {
    directory_ = std::make_unique<TestDirectory>();
    bytes_ = noise(kSize);
    directory_->write("image", bytes_);
    server_ = std::make_unique<FaultServer>(*directory_);
  }
  static void TearDownTestSuite() {
    server_.reset();
    directory_.reset();
  }
  void SetUp() override { (void)requests(true); }

  /// The image's URL with a query that chooses faults.
  static std::string url(const std::string& query = {}) {
    return server_->url() + "/image" + (query.empty() ? "" : "?" + query);
  }
  /// What the server was asked, a JSON object a line.
  static std::string requests(bool clear = false) {
    auto log = imaging::fetch_text(server_->url() + (clear ? "/_log?clear=1" : "/_log"),
                                   fast_options(), MiB, {});
    EXPECT_TRUE(log) << (log ? "" : log.error().message());
    return log ? *log : std::string();
  }
  static std::size_t count_requests() {
    const auto log = requests();
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), '\n'));
  }
  /// The whole object comes; returns what happened on the way.
  static std::unique_ptr<Fetch> expect_whole(
      const std::vector<std::string>& urls,
      const imaging::TransferOptions& options = fast_options()) {
    auto fetch = std::make_unique<Fetch>(urls, options);
    const auto got = fetch->all();
    EXPECT_TRUE(got) << fetch->text();
    if (got) {
      EXPECT_TRUE(*got == bytes_) << got->size() << " bytes, or other ones";
      EXPECT_EQ(fetch->counters.bytes_received, kSize);
    }
    return fetch;
  }
  /// It ends with `code`, within `limit`.
  static std::unique_ptr<Fetch> expect_error(
      const std::vector<std::string>& urls, Errc code, std::chrono::milliseconds limit = 3s,
      const imaging::TransferOptions& options = fast_options()) {
    const auto start = std::chrono::steady_clock::now();
    auto fetch = std::make_unique<Fetch>(urls, options);
    EXPECT_FALSE(fetch->all());
    EXPECT_LT(std::chrono::steady_clock::now() - start, limit);
    EXPECT_EQ(fetch->error ? name(fetch->error->code()) : "", name(code)) << fetch->text();
    return fetch;
  }

  static const Bytes& bytes() { return bytes_; }
  static const TestDirectory& directory() { return *directory_; }
  static const FaultServer& server() { return *server_; }

 private:
  static inline std::unique_ptr<TestDirectory> directory_;
  static inline std::unique_ptr<FaultServer> server_;
  static inline Bytes bytes_;
};

}  // namespace ingot::test
