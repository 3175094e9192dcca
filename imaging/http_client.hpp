/// HttpClient: one GET after the other over libcurl, with our own rules on redirects, credentials,
/// stalls and cancelling. Resuming and retrying is its callers' business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "imaging/http_head.hpp"
#include "imaging/source.hpp"
#include "imaging/transfer_failure.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {

/// Takes an answer. Called on the thread that is in HttpClient::get(). May block: that closes the
/// TCP window, and the time does not count as a stall.
class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  /// A redirect from https to http is about to be followed, as the options allow.
  virtual void on_https_left(const Url& from, const Url& to) = 0;
  /// The answer's head, `url` being the address (after redirects) that gave it. Status 200, or 206
  /// or 416 if a range was asked for. A failure ends the request and is what get() returns.
  virtual Attempt on_head(const HttpHead& head, const Url& url) = 0;
  /// The next bytes of the body, of a 200 or 206. As above.
  virtual Attempt on_body(std::span<const std::byte> bytes) = 0;
};

struct HttpRequest {
  Url url;
  Url home;              ///< whose origin alone is sent credentials (its own, or the options')
  std::string range;     ///< value after "bytes=", e.g. "1048576-"; empty: none
  std::string if_range;  ///< empty: none
};

/// Follows redirects by hand, so that every rule is checked before the next request is sent:
/// http and https only, at most kMaxRedirects, from https to http only if the options allow it and
/// no credentials are in use at all, and no credentials to another scheme, host or port than
/// `home`'s.
///
/// Threads  one at a time. Cancelled by `stop` within milliseconds.
/// Memory   `buffer_size` bytes.
/// Errors   as TransferFailure: source.unreachable, source.timeout, source.truncated (transient),
///          source.http-status (5xx, 408, 429 transient), source.tls, source.redirect,
///          source.protocol (the mirror is out), cancelled (final). No secret is in a message.
class HttpClient {
 public:
  /// `options` outlives the client.
  HttpClient(const TransferOptions& options, std::size_t buffer_size, std::stop_token stop);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Attempt get(const HttpRequest& request, HttpReceiver& receiver);

  static constexpr int kMaxRedirects = 10;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::imaging
