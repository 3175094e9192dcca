#include "imaging/http_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "disk/core/printable.hpp"
#include "disk/core/url_text.hpp"
#include "imaging/http_errors.hpp"
#include "imaging/http_login.hpp"
#include "imaging/name_lookup.hpp"
#include "imaging/network_facts.hpp"

namespace ingot::imaging {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPollAtMost{1000};   // libcurl has timers of its own between our looks
constexpr milliseconds kAskNamesFor{1000};  // of servers that have just been asked
constexpr std::size_t kMostTried = 4;       // addresses of a host, in a message
constexpr const char* kMirrorAdvice =
    "a provisioning network often has no way out and knows no names outside: images are usually "
    "mirrored to a server on that network; name one there, or check ";

void initialize_curl() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);  // for the process's life
  if (once != CURLE_OK) throw std::bad_alloc();
}

struct SlistDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

bool is_redirect(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

long as_long(milliseconds time) {
  return static_cast<long>(std::clamp<std::int64_t>(time.count(), 1, 1'000'000'000));
}

}  // namespace

struct HttpClient::Impl {
  const TransferOptions& options;
  const std::stop_token stop;
  CURLM* const multi;
  CURL* const easy;
  // Silence longer than the deadline could never be followed by another attempt.
  const milliseconds stall_timeout = std::min(options.stall_timeout, options.retry_deadline);

  // Of the request under way.
  const HttpRequest* request = nullptr;
  HttpReceiver* receiver = nullptr;
  Url url;
  std::string what;  // "fetching <redacted URL>", in front of every message
  HttpHeadParser parser;
  std::optional<TransferFailure> verdict;  // set by a callback that ends the transfer
  bool redirected = false;
  bool challenged = false;  // the answer is one that options.login may have an answer to
  bool answered = false;    // it had, in this get()
  bool connected = false;
  bool has_body = false;
  Clock::time_point last_activity;
  std::array<char, CURL_ERROR_SIZE> curl_text{};
  struct Address {
    sockaddr_storage address;
    socklen_t length;
  };
  std::array<Address, kMostTried> tried{};  // that libcurl wanted to connect to
  std::size_t tried_count = 0;

  Impl(const TransferOptions& o, std::stop_token s)
      : options(o), stop(std::move(s)), multi(curl_multi_init()), easy(curl_easy_init()) {
    if (multi == nullptr || easy == nullptr) throw std::bad_alloc();
  }
  ~Impl() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Never fails but for lack of memory or an option that this libcurl does not know.
  template <class T>
  void set(CURLoption option, T value) {
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) throw std::bad_alloc();
  }

  void set_up(std::size_t buffer_size) {
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    // One stream at a time: HTTP/2 has nothing to give and costs copies.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_BUFFERSIZE, static_cast<long>(buffer_size));
    set(CURLOPT_CONNECTTIMEOUT_MS,
        as_long(std::min(options.connect_timeout, options.retry_deadline)));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_USERAGENT, "ingot");
    set(CURLOPT_QUICK_EXIT, 1L);  // cancelling does not wait for a name server
    set(CURLOPT_ERRORBUFFER, curl_text.data());
    if (!options.ca_file.empty()) {
      set(CURLOPT_CAINFO, options.ca_file.c_str());
      set(CURLOPT_PROXY_CAINFO, options.ca_file.c_str());
    }
    set(CURLOPT_SSL_VERIFYPEER, options.tls_insecure ? 0L : 1L);
    set(CURLOPT_SSL_VERIFYHOST, options.tls_insecure ? 0L : 2L);
    if (!options.proxy.empty()) set(CURLOPT_PROXY, options.proxy.c_str());
    if (!options.no_proxy.empty()) set(CURLOPT_NOPROXY, options.no_proxy.c_str());
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_BASIC));
    set(CURLOPT_HEADERFUNCTION, &Impl::header_callback);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Impl::write_callback);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_PREREQFUNCTION, &Impl::connected_callback);
    set(CURLOPT_PREREQDATA, this);
    set(CURLOPT_OPENSOCKETFUNCTION, &Impl::socket_callback);
    set(CURLOPT_OPENSOCKETDATA, this);
  }

  Attempt get(const HttpRequest& wanted, HttpReceiver& taker);
  Result<Url> next_hop();
  Result<bool> answer_challenge();
  Attempt once();
  Attempt drive();
  Attempt judge(CURLcode code);
  TransferFailure connection_failure(CURLcode code);
  TransferFailure lookup_failure(CURLcode code);
  TransferFailure no_connection(std::string reason, Errc error, long os_error);
  std::unique_ptr<curl_slist, SlistDeleter> set_credentials_and_headers();

  // The callbacks are C code's; an exception (lack of memory) must not pass through it.
  static std::size_t header_callback(char* data, std::size_t, std::size_t length,
                                     void* self) noexcept {
    return static_cast<Impl*>(self)->on_header({data, length}) ? length : 0;
  }
  static std::size_t write_callback(char* data, std::size_t, std::size_t length,
                                    void* self) noexcept {
    return static_cast<Impl*>(self)->on_body({data, length}) ? length : 0;
  }
  static int connected_callback(void* self, char*, char*, int, int) noexcept {
    static_cast<Impl*>(self)->connected = true;
    static_cast<Impl*>(self)->last_activity = Clock::now();
    return CURL_PREREQFUNC_OK;
  }
  static curl_socket_t socket_callback(void* self, curlsocktype, curl_sockaddr* to) noexcept {
    static_cast<Impl*>(self)->remember(*to);
    return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  }
  void remember(const curl_sockaddr& to) noexcept;
  bool on_header(std::string_view line);
  bool on_head();
  bool on_body(std::string_view bytes);
  bool end(TransferFailure failure) {
    verdict = std::move(failure);
    return false;
  }
};

HttpClient::HttpClient(const TransferOptions& options, std::size_t buffer_size,
                       std::stop_token stop) {
  initialize_curl();
  impl_ = std::make_unique<Impl>(options, std::move(stop));
  impl_->set_up(buffer_size);
}
HttpClient::~HttpClient() = default;

Attempt HttpClient::get(const HttpRequest& request, HttpReceiver& receiver) {
  return impl_->get(request, receiver);
}

Attempt HttpClient::Impl::get(const HttpRequest& wanted, HttpReceiver& taker) {
  request = &wanted;
  receiver = &taker;
  url = wanted.url;
  answered = false;
  for (int hop = 0;; ++hop) {
    what = "fetching " + redacted(url.text);
    auto done = once();
    if (done && challenged) {
      auto again = answer_challenge();
      if (!again) return give_up_mirror(again.error());
      if (!*again) return tl::unexpected(status_failure(what, parser.head()));
      continue;
    }
    if (!done || !redirected) return done;
    if (hop == kMaxRedirects)
      return give_up_mirror(Error(Errc::source_redirect,
                                  fmt::format("fetching {}: more than {} redirects",
                                              redacted(wanted.url.text), kMaxRedirects),
                                  "the server sends its clients in a circle; check the URL"));
    auto next = next_hop();
    if (!next) return give_up_mirror(next.error());
    url = *std::move(next);
  }
}

// Whether to ask once more.
Result<bool> HttpClient::Impl::answer_challenge() {
  answered = true;
  return options.login->challenged(request->home, parser.head().challenges, stop);
}

Result<Url> HttpClient::Impl::next_hop() {
  INGOT_TRY_ASSIGN(Url next, follow_redirect(url, parser.head().location));
  if (url.scheme != "https" || next.scheme != "http") return next;
  const auto has_credentials = [](const Url& one) {
    return !one.user.empty() || !one.password.empty();
  };
  const bool credentials = has_credentials(request->home) || has_credentials(url) ||
                           has_credentials(next) || !options.user.empty() ||
                           !options.password.empty() || !options.authorization.empty() ||
                           options.login != nullptr;
  if (options.leave_https && !credentials) {
    receiver->on_https_left(url, next);
    return next;
  }
  return fail(Errc::source_redirect,
              fmt::format("{}: the server redirects to {}, which leaves https for http and is not "
                          "followed {}",
                          what, redacted(next.text),
                          credentials && options.leave_https
                              ? "where credentials are in use"
                              : "without a checksum that nobody on the way can have changed"),
              "use the final URL; for an image that ingot write or ingot verify checks, give the "
              "checksum by value or from an https URL, and no credentials");
}

std::unique_ptr<curl_slist, SlistDeleter> HttpClient::Impl::set_credentials_and_headers() {
  std::unique_ptr<curl_slist, SlistDeleter> headers;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)headers.release();
    headers.reset(longer);
  };
  add("Accept: " + (options.accept.empty() ? "*/*" : options.accept));
  add("Accept-Encoding: identity");  // else some servers compress what they take for text
  if (!request->if_range.empty()) add("If-Range: " + request->if_range);

  const bool at_home = same_origin(url, request->home);
  const Url& own = at_home && url.user.empty() && url.password.empty() ? request->home : url;
  const char* user = nullptr;
  const char* password = nullptr;
  const auto login = at_home && options.login != nullptr
                         ? options.login->authorization(request->home)
                         : std::nullopt;
  if (login) {
    if (!login->empty()) add("Authorization: " + *login);
  } else if (!own.user.empty() || !own.password.empty()) {
    user = own.user.c_str();
    password = own.password.c_str();
  } else if (at_home && !options.authorization.empty()) {
    add("Authorization: " + options.authorization);
  } else if (at_home && !options.user.empty()) {
    user = options.user.c_str();
    password = options.password.c_str();
  }
  set(CURLOPT_USERNAME, user);
  set(CURLOPT_PASSWORD, password);
  set(CURLOPT_HTTPHEADER, headers.get());
  return headers;
}

// One request and its answer, or the head of one that redirects.
Attempt HttpClient::Impl::once() {
  parser = {};
  verdict.reset();
  redirected = challenged = connected = has_body = false;
  tried_count = 0;
  curl_text.front() = '\0';
  const auto headers = set_credentials_and_headers();
  set(CURLOPT_URL, url.text.c_str());
  set(CURLOPT_RANGE, request->range.empty() ? nullptr : request->range.c_str());
  last_activity = Clock::now();
  if (curl_multi_add_handle(multi, easy) != CURLM_OK) throw std::bad_alloc();
  Attempt done = drive();
  curl_multi_remove_handle(multi, easy);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, nullptr);
  return done;
}

Attempt HttpClient::Impl::drive() {
  const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi); });
  for (;;) {
    int running = 0;
    if (curl_multi_perform(multi, &running) != CURLM_OK) throw std::bad_alloc();
    if (stop.stop_requested()) return give_up(Error(Errc::cancelled, what + ": cancelled"));
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &queued))
      if (message->msg == CURLMSG_DONE) return judge(message->data.result);

    const auto quiet = std::chrono::duration_cast<milliseconds>(Clock::now() - last_activity);
    if (connected && quiet >= stall_timeout)
      return try_again(
          Error(Errc::source_timeout,
                fmt::format("{}: the server sent nothing for {} ms", what, stall_timeout.count()),
                "the network or the server is stuck; check both"));
    milliseconds wait = kPollAtMost;
    if (connected) wait = std::min(wait, stall_timeout - quiet + milliseconds(1));
    if (curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait.count()), nullptr) != CURLM_OK)
      throw std::bad_alloc();
  }
}

Attempt HttpClient::Impl::judge(CURLcode code) {
  if (verdict) return tl::unexpected(*std::move(verdict));
  if (redirected || challenged) return {};
  if (code != CURLE_OK) return tl::unexpected(connection_failure(code));
  if (!parser.complete())
    return try_again(Error(Errc::source_unreachable, what + ": the server sent no answer"));
  return {};
}

bool HttpClient::Impl::on_header(std::string_view line) {
  last_activity = Clock::now();
  if (parser.complete()) return true;  // a trailer
  auto next = parser.line(line);
  if (!next) {
    const Error& error = next.error();
    return end({TransferFailure::Verdict::mirror, error.with_context(what)});
  }
  if (*next == HttpHeadParser::Next::more) return true;
  return on_head();
}

bool HttpClient::Impl::on_head() {
  const HttpHead& head = parser.head();
  if (is_redirect(head.status) && !head.location.empty()) {
    redirected = true;
    return false;  // its body is of no interest
  }
  if (head.status == 401 && options.login != nullptr && !answered &&
      same_origin(url, request->home)) {
    challenged = true;
    return false;
  }
  const bool ranged = !request->range.empty();
  if (head.status != 200 && !(ranged && (head.status == 206 || head.status == 416)))
    return end(status_failure(what, head));
  if (!head.content_encoding.empty() && !options.take_encoded)
    return end(
        {TransferFailure::Verdict::mirror,
         Error(Errc::source_protocol,
               fmt::format("{}: the server sends the file encoded (Content-Encoding: {}), "
                           "which was not asked for, and no checksum tells whether the "
                           "bytes are right all the same",
                           what, head.content_encoding),
               "turn that off in the server's configuration for image files; ingot write "
               "and ingot verify take the image as it is served if they have its checksum")});
  has_body = true;
  auto taken = receiver->on_head(head, url);
  last_activity = Clock::now();
  if (!taken) return end(std::move(taken).error());
  return head.status != 416 || end({TransferFailure::Verdict::transient,
                                    Error(Errc::source_protocol, what + ": no such range")});
}

bool HttpClient::Impl::on_body(std::string_view bytes) {
  auto taken = receiver->on_body(std::as_bytes(std::span(bytes)));
  last_activity = Clock::now();
  return taken.has_value() || end(std::move(taken).error());
}

void HttpClient::Impl::remember(const curl_sockaddr& to) noexcept {
  if (tried_count == tried.size() || to.addrlen > sizeof(sockaddr_storage)) return;
  Address& next = tried[tried_count++];
  std::memcpy(&next.address, &to.addr, to.addrlen);
  next.length = to.addrlen;
}

// libcurl says the same whatever the reason, so the name servers are asked once more.
TransferFailure HttpClient::Impl::lookup_failure(CURLcode code) {
  const bool timed_out = code == CURLE_OPERATION_TIMEDOUT;
  const bool proxys = code == CURLE_COULDNT_RESOLVE_PROXY;
  std::string name = url.host;
  if (proxys) {  // "Could not resolve proxy: NAME"
    const std::string_view text(curl_text.data());
    const auto before = text.rfind(' ');
    name = before == std::string_view::npos ? "" : std::string(text.substr(before + 1));
  }
  LookupFailure found = explain_lookup(name, std::min(kAskNamesFor, options.retry_deadline), stop);
  if (timed_out) found.reason = "looking up the server or its proxy took too long: " + found.reason;
  TransferFailure failure{
      TransferFailure::Verdict::transient,
      Error(Errc::source_unreachable,
            fmt::format("{}: {}{}", what, proxys ? "of the proxy, " : "", found.reason),
            proxys ? "check --proxy, http_proxy and no_proxy"
                   : std::string(kMirrorAdvice) + "the name and --proxy")};
  failure.no_such_name = found.no_such_name && !timed_out;
  return failure;
}

// `reason`, with the addresses that were tried and the way there.
TransferFailure HttpClient::Impl::no_connection(std::string reason, Errc error, long os_error) {
  std::vector<std::string> ways;
  bool route_found = false;
  for (const Address& one : std::span(tried).first(tried_count)) {
    const auto* const address = reinterpret_cast<const sockaddr*>(&one.address);
    const Route route = route_to(address, one.length);
    route_found = route_found || route.error == 0;
    ways.push_back(in_words(address, one.length, true) + ' ' + in_words(route));
  }
  if (!ways.empty()) reason += fmt::format(" ({})", fmt::join(ways, "; "));
  const bool nowhere =
      os_error == ENETUNREACH || os_error == EHOSTUNREACH || (!ways.empty() && !route_found);
  if (nowhere) reason += "; " + network_in_words();
  return {TransferFailure::Verdict::transient,
          Error(error, what + ": " + reason,
                nowhere ? std::string(kMirrorAdvice) + "routes, DHCP and --proxy"
                        : "check that the server runs, the port, routes, firewalls and proxy")};
}

TransferFailure HttpClient::Impl::connection_failure(CURLcode code) {
  using Verdict = TransferFailure::Verdict;
  long os_error = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
  long connect_status = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
  // libcurl's own text is used for TLS alone: elsewhere it may quote the URL or the proxy's.
  const std::string_view tls_text(curl_text.data());
  const auto tls = [&](Verdict verdict_now, std::string advice) {
    const std::string_view reason = tls_text.empty() ? curl_easy_strerror(code) : tls_text;
    return TransferFailure{
        verdict_now,
        Error(Errc::source_tls, what + ": " + printable(std::as_bytes(std::span(reason)), 200),
              std::move(advice))};
  };
  std::string reason = curl_easy_strerror(code);
  if (os_error != 0) reason += ", " + std::generic_category().message(static_cast<int>(os_error));
  const auto failure = [&](Verdict verdict_now, Errc error, std::string advice) {
    return TransferFailure{verdict_now, Error(error, what + ": " + reason, std::move(advice))};
  };

  if (connect_status != 0 && connect_status != 200) {
    reason = fmt::format("the proxy answered {} to CONNECT", connect_status);
    return failure(
        connect_status == 407 || connect_status == 403 ? Verdict::mirror : Verdict::transient,
        Errc::source_unreachable, "check the proxy and its credentials, or no_proxy");
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return lookup_failure(code);
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
      return no_connection(reason, Errc::source_unreachable, os_error);
    case CURLE_OPERATION_TIMEDOUT:
      if (tried_count == 0) return lookup_failure(code);
      return no_connection(
          fmt::format("no connection within {} ms",
                      std::min(options.connect_timeout, options.retry_deadline).count()),
          Errc::source_timeout, os_error);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return tls(Verdict::mirror,
                 "give the certificate authority with --ca-cert, and check this machine's clock");
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return tls(Verdict::mirror, "check the file given with --ca-cert");
    case CURLE_SSL_CONNECT_ERROR: {
      // The peer speaks, but not TLS as we do; or the connection broke while it was set up.
      const bool spoken = tls_text.find("routines:") != std::string_view::npos &&
                          tls_text.find("unexpected eof") == std::string_view::npos;
      return tls(spoken ? Verdict::mirror : Verdict::transient,
                 "check that the port is an https one");
    }
    case CURLE_PARTIAL_FILE:
      reason = "the connection was closed before the end of the body";
      return failure(Verdict::transient, Errc::source_truncated, {});
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return failure(Verdict::transient,
                     has_body ? Errc::source_truncated : Errc::source_unreachable, {});
    case CURLE_OUT_OF_MEMORY:
      throw std::bad_alloc();
    default:
      return failure(Verdict::mirror, Errc::source_protocol,
                     "the server's answer is not HTTP as it should be; check URL and port");
  }
}

}  // namespace ingot::imaging
