#include "imaging/http_range_reader.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <random>
#include <utility>

#include "disk/core/url_text.hpp"
#include "imaging/retry_plan.hpp"
#include "imaging/stoppable_sleep.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kReceiveBuffer = 128 * 1024;  // tables are small

// Takes one 206 answer into a span.
class RangeReceiver final : public HttpReceiver {
 public:
  RangeReceiver(const ServedObject& object, std::uint64_t offset, std::span<std::byte> out,
                std::size_t& got)
      : object_(object), offset_(offset), out_(out), got_(got) {}

  void on_https_left(const Url&, const Url&) override {}  // the stream's transfer has said it

  Attempt on_head(const HttpHead& head, const Url& url) override {
    const std::string what = "fetching a part of " + redacted(url.text);
    const auto& range = head.content_range;
    if (head.status == 200) {
      // With If-Range that is how a server says that it has another object.
      const bool same = head.etag == object_.etag && head.last_modified == object_.last_modified &&
                        head.content_length == object_.total;
      return give_up_mirror(
          same ? Error(Errc::source_protocol, what + ": the server offers ranges, but sends the "
                                                     "whole file when asked for one")
               : changed(what));
    }
    if (range && range->total && range->total != object_.total)
      return give_up_mirror(changed(what));
    if (head.status == 416 || head.multipart_ranges || !range || !range->range ||
        range->range->first != offset_ || range->range->last != offset_ + out_.size() - 1 ||
        (head.content_length && *head.content_length != out_.size()))
      return give_up_mirror(
          Error(Errc::source_protocol,
                fmt::format("{}: asked for bytes {} to {}, the server answered {} with another "
                            "range",
                            what, offset_, offset_ + out_.size() - 1, head.status)));
    if (!object_.matches(head)) return give_up_mirror(changed(what));
    return {};
  }

  Attempt on_body(std::span<const std::byte> bytes) override {
    if (bytes.size() > out_.size() - got_)
      return give_up_mirror(Error(Errc::source_protocol,
                                  "fetching a part of the image: the server sends more than that"));
    std::memcpy(out_.data() + got_, bytes.data(), bytes.size());
    got_ += bytes.size();
    return {};
  }

 private:
  static Error changed(const std::string& what) {
    return {Errc::source_changed, what + ": it is no longer the file that is being received",
            "the file was replaced on the server during the transfer; start again"};
  }

  const ServedObject& object_;
  const std::uint64_t offset_;
  const std::span<std::byte> out_;
  std::size_t& got_;
};

}  // namespace

bool HttpRangeReader::possible(const ServedObject& object) {
  return object.total && object.ranges_offered &&
         (!object.range_validator.empty() || !object.last_modified.empty());
}

HttpRangeReader::HttpRangeReader(ServedObject object, const TransferOptions& options,
                                 std::stop_token stop)
    : object_(std::move(object)), options_(options), stop_(std::move(stop)) {}
HttpRangeReader::~HttpRangeReader() = default;

Result<void> HttpRangeReader::read(std::uint64_t offset, std::span<std::byte> out) {
  if (offset > *object_.total || out.size() > *object_.total - offset)
    return fail(Errc::source_truncated,
                fmt::format("fetching a part of {}: {} bytes at {} lie past its end at {}",
                            redacted(object_.home.text), out.size(), offset, *object_.total));
  if (!client_) client_ = std::make_unique<HttpClient>(options_, kReceiveBuffer, stop_);
  RetryPlan plan(1, options_, std::random_device()());
  auto last_progress = RetryPlan::Clock::now();
  while (!out.empty()) {
    std::size_t got = 0;
    const Attempt done = read_once(offset, out, got);
    offset += got;
    out = out.subspan(got);
    if (got > 0) last_progress = RetryPlan::Clock::now();
    if (done) continue;
    at_redirect_target_ = got > 0;
    INGOT_TRY_ASSIGN(const auto next,
                     plan.after(done.error(), got > 0, RetryPlan::Clock::now(), last_progress));
    if (!sleep_unless_stopped(next.delay, stop_))
      return fail(Errc::cancelled, "fetching a part of the image: cancelled");
  }
  return {};
}

Attempt HttpRangeReader::read_once(std::uint64_t offset, std::span<std::byte> out,
                                   std::size_t& got) {
  RangeReceiver receiver(object_, offset, out, got);
  HttpRequest request{at_redirect_target_ ? object_.url : object_.home, object_.home,
                      fmt::format("{}-{}", offset, offset + out.size() - 1),
                      object_.range_validator};
  if (auto done = client_->get(request, receiver); !done) {
    done.error().no_such_name = false;  // it was known when the transfer started
    return ask_home_next(std::move(done), request);
  }
  if (got < out.size())
    return try_again(Error(
        Errc::source_truncated,
        fmt::format("fetching a part of {}: the answer ended early", redacted(request.url.text))));
  return {};
}

}  // namespace ingot::imaging
