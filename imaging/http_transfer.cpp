#include "imaging/http_transfer.hpp"

#include <fmt/format.h>

#include <utility>

#include "disk/core/url_text.hpp"

namespace ingot::imaging {
namespace {

// The largest that libcurl 7.88 takes. It reads once per round, so small buffers cost poll() calls.
constexpr std::size_t kReceiveBuffer = 512 * 1024;

std::string fetching(const Url& url) {
  return "fetching " + redacted(url.text);
}

}  // namespace

bool ServedObject::matches(const HttpHead& head) const {
  const auto agrees = [](const std::string& ours, const std::string& theirs) {
    return ours.empty() || theirs.empty() || ours == theirs;  // RFC 9110 lets a 206 leave them out
  };
  // Left out it is the same; said, it must be: other bytes otherwise.
  if (!head.content_encoding.empty() && head.content_encoding != content_encoding) return false;
  if (!agrees(etag, head.etag) || !agrees(last_modified, head.last_modified)) return false;
  return !total || (head.content_range && head.content_range->total == total);
}

HttpTransfer::HttpTransfer(const TransferOptions& options, BlockFeed& feed, JobListener& listener,
                           std::stop_token stop)
    : feed_(feed), listener_(listener), client_(options, kReceiveBuffer, std::move(stop)) {}
HttpTransfer::~HttpTransfer() = default;

Attempt ask_home_next(Attempt done, const HttpRequest& request) {
  using Verdict = TransferFailure::Verdict;
  if (!done && done.error().verdict == Verdict::mirror && request.url.text != request.home.text &&
      done.error().error.code() != Errc::source_changed)
    done.error().verdict = Verdict::transient;
  return done;
}

std::uint64_t HttpTransfer::resume_offset(const Url& mirror) const {
  const bool can = source_ && source_->home.text == mirror.text && ranges_usable_ &&
                   !source_->range_validator.empty() && !feed_.proving();
  return can ? feed_.position() : 0;
}

Attempt HttpTransfer::run(const Url& mirror, KnownObject& known, const OnOpened& opened) {
  known_ = &known;
  opened_ = &opened;
  mirror_ = &mirror;
  asked_from_.reset();
  candidate_.reset();
  HttpRequest request{mirror, mirror, {}, {}};
  if (const std::uint64_t from = resume_offset(mirror); from > 0) {
    asked_from_ = from;
    request.range = fmt::format("{}-", from);
    request.if_range = source_->range_validator;
    if (at_redirect_target_) request.url = source_->url;
  }
  const std::uint64_t high_water = feed_.high_water();
  Attempt done = client_.get(request, *this);
  // The address it redirected to may have expired: without success there, the mirror is asked.
  at_redirect_target_ = feed_.high_water() > high_water;
  if (!done) {
    feed_.abandon_restart();
    return ask_home_next(std::move(done), request);
  }
  if (feed_.proving()) {
    const std::uint64_t length = feed_.position();
    feed_.abandon_restart();
    return give_up_mirror(Error(Errc::source_changed,
                                fmt::format("{}: the file now ends after {} bytes, and more had "
                                            "been received already",
                                            fetching(mirror), length)));
  }
  if (known.total && feed_.position() < *known.total)
    return try_again(Error(Errc::source_truncated,
                           fmt::format("{}: the answer ended at byte {} of {}", fetching(mirror),
                                       feed_.position(), *known.total)));
  return {};
}

void HttpTransfer::on_https_left(const Url& from, const Url& to) {
  note_once(
      fmt::format("{} redirects from https to http at {}: followed, since the checksum decides",
                  from.host, to.host));
}

Attempt HttpTransfer::on_head(const HttpHead& head, const Url& url) {
  if (head.status == 200) return on_whole(head, url);
  return on_part(head, url);
}

// The answer to a Range request that gives a part, or says that there is none.
Attempt HttpTransfer::on_part(const HttpHead& head, const Url& url) {
  const auto& range = head.content_range;
  if (range && range->total)
    if (auto agreed = check_total(*range->total, url); !agreed) return agreed;
  const bool exact = head.status == 206 && !head.multipart_ranges && range && range->range &&
                     range->range->first == *asked_from_ && source_->matches(head);
  if (exact) {
    if (range->total) known_->total = range->total;
    source_->url = url;
    return {};
  }
  ranges_usable_ = false;
  listener_.on_note(
      fmt::format("{} answers a range request with something else; starting over", url.host));
  return try_again(
      Error(Errc::source_protocol,
            fmt::format("{}: asked to go on at byte {}, the server answered {} with another range",
                        fetching(url), *asked_from_, head.status)));
}

Attempt HttpTransfer::on_whole(const HttpHead& head, const Url& url) {
  if (head.content_length)
    if (auto agreed = check_total(*head.content_length, url); !agreed) return agreed;
  candidate_ = ServedObject{*mirror_,
                            url,
                            head.content_length,
                            head.etag,
                            head.last_modified,
                            head.range_validator,
                            head.ranges_offered,
                            head.content_encoding};
  if (!head.content_encoding.empty())
    note_once(
        fmt::format("{} sends the file with Content-Encoding: {}, which was not asked for; it is "
                    "taken as it is served, and the checksum decides",
                    url.host, head.content_encoding));
  if (asked_from_)
    listener_.on_note(
        fmt::format("{} does not resume the transfer; receiving the file from its start again, to "
                    "compare it with what came before",
                    url.host));
  // Asked for a part of what it still has, it sent the whole: it does so every time.
  if (asked_from_ && candidate_->range_validator == source_->range_validator)
    ranges_usable_ = false;
  if (head.ranges_denied) candidate_->range_validator.clear();
  if (head.content_length) known_->total = head.content_length;
  if (!known_->served) {
    known_->served = candidate_;
    (*opened_)(*candidate_);
  }
  if (auto started = feed_.restart(fetching(url)); !started) return started;
  if (!feed_.proving()) adopt();
  return {};
}

Attempt HttpTransfer::check_total(std::uint64_t total, const Url& url) {
  if (!known_->total || *known_->total == total) return {};
  return give_up_mirror(
      Error(Errc::source_changed,
            fmt::format("{}: the file has {} bytes now, it had {} when the transfer started",
                        fetching(url), total, *known_->total),
            "the file was replaced on the server, or a mirror has another one; start again"));
}

Attempt HttpTransfer::on_body(std::span<const std::byte> bytes) {
  if (known_->total && bytes.size() > *known_->total - feed_.position())
    return give_up_mirror(
        Error(Errc::source_protocol,
              fmt::format("{}: the server sends more than the {} bytes it announced",
                          fetching(*mirror_), *known_->total)));
  auto taken = feed_.accept(bytes);
  if (taken && candidate_ && !feed_.proving()) adopt();
  return taken;
}

void HttpTransfer::note_once(const std::string& text) {
  constexpr std::size_t kMost = 16;  // the names are the servers'
  if (noted_.size() < kMost && noted_.insert(text).second) listener_.on_note(text);
}

void HttpTransfer::adopt() {
  // What was learned about a server's ranges stays true when it is started over.
  if (!source_ || source_->home.text != candidate_->home.text) ranges_usable_ = true;
  source_ = std::exchange(candidate_, std::nullopt);
  at_redirect_target_ = true;
}

}  // namespace ingot::imaging
