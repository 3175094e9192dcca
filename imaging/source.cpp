// open_source(): the transfer's thread, which tries mirrors until the object is there or it is
// over, and the stream that its caller reads.
#include "imaging/source.hpp"

#include <fmt/format.h>

#include <exception>
#include <future>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "disk/core/url_text.hpp"
#include "imaging/block_feed.hpp"
#include "imaging/digest_tap.hpp"
#include "imaging/file_source.hpp"
#include "imaging/http_range_reader.hpp"
#include "imaging/http_transfer.hpp"
#include "imaging/retry_plan.hpp"
#include "imaging/stoppable_sleep.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {
namespace {

bool is_file(const Url& url) {
  return url.scheme == "file";
}

class SourceStream final : public ByteStream {
 public:
  SourceStream(std::vector<Url> mirrors, const TransferOptions& options, std::size_t ring_blocks,
               PrefixDigest prefix, ProgressCounters& counters, JobListener& listener,
               std::stop_token stop)
      : mirrors_(std::move(mirrors)),
        options_(options),
        counters_(counters),
        listener_(listener),
        stop_passed_on_(std::move(stop), [this] { stop_.request_stop(); }),
        feed_(ring_blocks, std::move(prefix), counters, stop_.get_token()) {}

  ~SourceStream() override { stop_.request_stop(); }  // thread_ goes first, and is joined

  // Starts the transfer and waits for its first good answer.
  Result<void> open() {
    auto opened = opened_.get_future();
    thread_ = std::jthread([this] { run(); });
    INGOT_TRY_ASSIGN(const ServedObject object, opened.get());
    size_ = object.total;
    if (is_file(object.url)) {
      INGOT_TRY_ASSIGN(LocalFile file, open_local_file(object.url));
      ranges_ = std::make_unique<FileRangeReader>(std::move(file));
    } else if (HttpRangeReader::possible(object)) {
      ranges_ = std::make_unique<HttpRangeReader>(object, options_, stop_.get_token());
    }
    return {};
  }

  Result<Slice> next() override { return feed_.next(); }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }
  [[nodiscard]] RangeReader* ranges() override { return ranges_.get(); }

 private:
  // The thread. What goes wrong before the first answer is open()'s, after it the reader's.
  void run() {
    std::optional<Error> error;
    try {
      if (auto done = transfer(); !done) error = done.error();
    } catch (const std::exception& problem) {
      error.emplace(Errc::internal_bug, std::string("receiving the image: ") + problem.what());
    }
    if (!error) return feed_.finish();
    if (!opened_told_) opened_.set_value(tl::unexpected(*error));
    feed_.fail(*std::move(error));
  }

  Result<void> transfer() {
    HttpTransfer http(options_, feed_, listener_, stop_.get_token());
    RetryPlan plan(mirrors_.size(), options_, std::random_device()());
    KnownObject known;
    const auto opened = [this](const ServedObject& object) {
      if (object.total) counters_.bytes_expected = static_cast<std::int64_t>(*object.total);
      opened_told_ = true;
      opened_.set_value(object);
    };
    for (bool stalled = false;;) {
      const std::uint64_t high_water = feed_.high_water();
      const Url& mirror = mirrors_[plan.mirror()];
      const Attempt done = is_file(mirror) ? run_file_transfer(mirror, feed_, known, opened)
                                           : http.run(mirror, known, opened);
      if (known.total) counters_.bytes_expected = static_cast<std::int64_t>(*known.total);
      if (done) return {};
      if (stop_.stop_requested()) return fail(Errc::cancelled, "receiving the image: cancelled");
      const bool progressed = feed_.high_water() > high_water;
      INGOT_TRY_ASSIGN(const auto next, plan.after(done.error(), progressed,
                                                   RetryPlan::Clock::now(), feed_.last_progress()));
      if (!progressed && !stalled) listener_.on_stall(next.left, next.until_deadline);
      stalled = !progressed;
      const Url& upcoming = mirrors_[next.mirror];
      listener_.on_retry(plan.attempts(), done.error().error.message(),
                         is_file(upcoming) ? 0 : http.resume_offset(upcoming));
      if (!sleep_unless_stopped(next.delay, stop_.get_token()))
        return fail(Errc::cancelled, "waiting to try again: cancelled");
    }
  }

  const std::vector<Url> mirrors_;
  const TransferOptions options_;
  ProgressCounters& counters_;
  JobListener& listener_;
  std::stop_source stop_;
  const std::stop_callback<std::function<void()>> stop_passed_on_;
  BlockFeed feed_;
  std::promise<Result<ServedObject>> opened_;
  bool opened_told_ = false;  // the thread's
  std::optional<std::uint64_t> size_;
  std::unique_ptr<RangeReader> ranges_;
  std::jthread thread_;  // last: goes first
};

class SilentListener final : public JobListener {
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override {}
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_source(const std::vector<std::string>& urls,
                                                const TransferOptions& options,
                                                std::size_t ring_blocks, PrefixDigest prefix,
                                                ProgressCounters& counters, JobListener& listener,
                                                std::stop_token stop) {
  if (urls.empty()) return fail(Errc::usage_option, "there is no image URL");
  std::vector<Url> mirrors;
  for (const auto& text : urls) {
    INGOT_TRY_ASSIGN(Url url, parse_url(text));
    if (is_file(url) && !options.allow_file)
      return fail(Errc::usage_option,
                  fmt::format("the URL {} names a file of this machine, which is not allowed here",
                              redacted(text)),
                  "use an http or https URL");
    mirrors.push_back(std::move(url));
  }
  auto stream = std::make_unique<SourceStream>(std::move(mirrors), options, ring_blocks,
                                               std::move(prefix), counters, listener, stop);
  INGOT_TRY(stream->open());
  return stream;
}

namespace {

// The whole of what `url` leads to, a slice at a time to `take`.
template <class Take>
Result<void> fetch_all(const std::string& url, const TransferOptions& options, std::size_t limit,
                       std::stop_token stop, JobListener& listener, Take take) {
  const auto too_large = [&] {
    return fail(Errc::source_protocol,
                fmt::format("fetching {}: it has more than {} bytes, too many for what it should "
                            "be",
                            redacted(url), limit),
                "check what the URL leads to");
  };
  ProgressCounters counters;
  DigestTap tap(DigestType::sha256, stop);
  TransferOptions strict = options;
  strict.take_encoded = strict.leave_https = false;
  INGOT_TRY_ASSIGN(const auto source,
                   open_source(
                       {url}, strict, 2, [&](std::uint64_t n) { return tap.prefix(n); }, counters,
                       listener, stop));
  if (source->size() > limit) return too_large();
  tap.attach(*source);
  for (std::size_t left = limit;;) {
    INGOT_TRY_ASSIGN(const Slice slice, tap.next());
    if (slice.empty()) return {};
    if (slice.size() > left) return too_large();
    left -= slice.size();
    take(slice.bytes());
  }
}

}  // namespace

Result<std::string> fetch_text(const std::string& url, const TransferOptions& options,
                               std::size_t limit, std::stop_token stop, JobListener* listener) {
  std::string text;
  SilentListener nobody;
  INGOT_TRY(fetch_all(url, options, limit, stop, listener != nullptr ? *listener : nobody,
                      [&text](std::span<const std::byte> bytes) {
                        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                      }));
  return text;
}

Result<SecretBytes> fetch_secret(const std::string& url, const TransferOptions& options,
                                 std::size_t limit, std::stop_token stop) {
  SecretBytes secret;
  SilentListener nobody;
  INGOT_TRY(
      fetch_all(url, options, limit, stop, nobody, [&secret](std::span<const std::byte> bytes) {
        secret.insert(secret.end(), bytes.begin(), bytes.end());
      }));
  return secret;
}

}  // namespace ingot::imaging
