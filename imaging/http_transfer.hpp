/// HttpTransfer: one object from http(s) mirrors into a BlockFeed; decides for every attempt and
/// every answer whether the transfer goes on where it stopped or starts over.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "imaging/block_feed.hpp"
#include "imaging/http_client.hpp"
#include "imaging/source.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {

/// A server's version of the object, as its answer described it: what a later answer must match to
/// be a part of the same object.
struct ServedObject {
  Url home;                            ///< the mirror, as configured
  Url url;                             ///< who answered, after redirects
  std::optional<std::uint64_t> total;  ///< bytes
  std::string etag, last_modified;     ///< as sent; may be empty or weak
  std::string range_validator;         ///< for If-Range; empty: parts cannot be asked for safely
  bool ranges_offered = false;         ///< Accept-Ranges: bytes
  std::string content_encoding;        ///< what its bytes are said to be encoded with, or empty

  /// Whether `head` (a 206) can be a part of this object.
  [[nodiscard]] bool matches(const HttpHead& head) const;
};

/// The object's size and, if it was said, who serves it how. The transfer's owner holds one: all
/// mirrors must agree with it.
struct KnownObject {
  std::optional<std::uint64_t> total;
  std::optional<ServedObject> served;
};

/// An answer at the address of an earlier redirect does not speak for the mirror that redirected
/// there: such addresses expire. Makes a failure there one to try again, at `request.home`, unless
/// it is that the object changed.
Attempt ask_home_next(Attempt done, const HttpRequest& request);

/// Resume  with Range and If-Range from the server whose answer is being streamed, at the address
///         it redirected to first. An answer that is not exactly the range asked for means that
///         this server's ranges are not used again.
/// Restart any other 200 answer starts over: the feed proves that it is the same object.
/// Threads one.
class HttpTransfer final : private HttpReceiver {
 public:
  /// Told about the first good answer, before its body.
  using OnOpened = std::function<void(const ServedObject&)>;
  /// All outlive the transfer.
  HttpTransfer(const TransferOptions& options, BlockFeed& feed, JobListener& listener,
               std::stop_token stop);
  ~HttpTransfer() override;

  /// One attempt to bring the rest of the object from `mirror`. `known` is checked and completed.
  Attempt run(const Url& mirror, KnownObject& known, const OnOpened& opened);
  /// Where an attempt at `mirror` will ask to go on (bytes); 0 when it starts over.
  [[nodiscard]] std::uint64_t resume_offset(const Url& mirror) const;

 private:
  void on_https_left(const Url& from, const Url& to) override;
  Attempt on_head(const HttpHead& head, const Url& url) override;
  Attempt on_body(std::span<const std::byte> bytes) override;
  Attempt on_part(const HttpHead& head, const Url& url);
  Attempt on_whole(const HttpHead& head, const Url& url);
  Attempt check_total(std::uint64_t total, const Url& url);
  void adopt();
  void note_once(const std::string& text);

  BlockFeed& feed_;
  JobListener& listener_;
  HttpClient client_;
  std::optional<ServedObject> source_;  // whose bytes the feed has last
  bool ranges_usable_ = true;           // of source_
  bool at_redirect_target_ = true;      // ask there rather than at the mirror's own address
  std::set<std::string> noted_;         // said once, however often it is met

  // Of the attempt under way.
  KnownObject* known_ = nullptr;
  const OnOpened* opened_ = nullptr;
  const Url* mirror_ = nullptr;
  std::optional<std::uint64_t> asked_from_;  // Range
  std::optional<ServedObject> candidate_;    // becomes source_ once proven
};

}  // namespace ingot::imaging
