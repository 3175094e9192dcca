#include "agent/http/http_session.hpp"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "agent/http/http_head.hpp"
#include "agent/http/page_allocator.hpp"

namespace ingot::agent {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr auto kResult = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t kFirstRead = 4UL << 10;  // what an idle connection holds
constexpr std::size_t kRead = 16UL << 10;
constexpr milliseconds kSoon{1};
constexpr milliseconds kLaterPause{100};
constexpr milliseconds kLinger{2000};
constexpr milliseconds kGrace{1000};  // for a cancelled read to end

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& io, asio::thread_pool& worker, HttpService& service, UniqueFd fd)
      : service_(service),
        options_(service.options),
        counted_(service.connections),
        worker_(worker),
        socket_(asio::make_strand(io)),
        timer_(socket_.get_executor()),
        pause_(socket_.get_executor()),
        buffer_(options_.header_limit + kRead) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    socket_.assign(tcp::v6(), fd.get());  // the family does not matter from here on
    static_cast<void>(fd.release());
    if (!service.tls) return;
    SSL* const ssl = ::SSL_new(service.tls.get());
    if (ssl == nullptr) throw std::bad_alloc();
    tls_.emplace(socket_, ssl);
  }

  void start() {
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->run(); },
        asio::detached);
  }

 private:
  using Body = std::basic_string<char, std::char_traits<char>, PageAllocator<char>>;
  using Parser =
      http::request_parser<http::basic_string_body<char, Body::traits_type, Body::allocator_type>>;
  enum class Step {
    done,
    refused,  // with refusal_
    closed,   // by the client, or by us because it kept us waiting
  };
  enum class AtTimeout { cancel_read, close };
  // Kept while the body is read, for which the parser's own may move.
  struct Header {
    std::string method, target, authorization;
    std::string host, origin, content_type, if_none_match, last_event_id;
    [[nodiscard]] HttpRequest request(std::string_view body = {}) const {
      return {method, target,       body,          authorization, host,
              origin, content_type, if_none_match, last_event_id};
    }
  };
  struct Refusal {
    unsigned status;
    std::string_view what;
  };

  awaitable<void> run() {
    if (tls_) {
      watch(options_.header_timeout, AtTimeout::close);
      const auto [failed] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kResult);
      if (failed) co_return;
    }
    for (std::size_t count = 1;; ++count) {
      const Step read = co_await read_header(count == 1);
      if (read == Step::closed) co_return;
      bool goes_on = false;
      if (read == Step::refused)
        co_await refuse();
      else
        goes_on = co_await serve_request(count >= options_.max_requests_per_connection);
      parser_.reset();
      if (!goes_on) break;
    }
    co_await linger();
  }

  // --- Reading -----------------------------------------------------------------------------------

  // At least one byte more in buffer_, or why not.
  awaitable<error_code> read_some(std::size_t most) {
    if (timed_out_) co_return asio::error::timed_out;
    const auto space = buffer_.prepare(std::min(most, buffer_.max_size() - buffer_.size()));
    error_code failed;
    std::size_t count = 0;
    if (tls_)
      std::tie(failed, count) = co_await tls_->async_read_some(space, kResult);
    else
      std::tie(failed, count) = co_await socket_.async_read_some(space, kResult);
    buffer_.commit(count);
    co_return failed;
  }

  // Feeds the parser with what was read. need_more is no failure.
  error_code parse() {
    error_code failed;
    const std::size_t used = parser_->put(buffer_.data(), failed);
    buffer_.consume(used);
    header_bytes_ += used;
    if (failed == http::error::need_more) return {};
    return failed;
  }

  awaitable<Step> read_header(bool first) {
    parser_.emplace();
    parser_->eager(false);  // ends behind the header
    parser_->header_limit(static_cast<std::uint32_t>(options_.header_limit));
    parser_->body_limit(boost::none);  // whether a body is wanted is asked first
    header_bytes_ = 0;
    headless_ = http10_ = false;
    bool begun = first || buffer_.size() > 0;
    if (!begun) buffer_.shrink_to_fit();
    watch(begun ? options_.header_timeout : options_.idle_timeout, AtTimeout::cancel_read);
    for (;;) {
      if (buffer_.size() > 0) {
        const error_code failed = parse();
        if (failed == http::error::header_limit ||
            header_bytes_ + (parser_->is_header_done() ? 0 : buffer_.size()) >
                options_.header_limit)
          co_return refusal(431, "the header is too large");
        if (failed) co_return refusal(400, "this is no HTTP request");
        if (parser_->is_header_done()) co_return Step::done;
      }
      const error_code failed = co_await read_some(kFirstRead);
      if (failed) {
        const bool some = header_bytes_ + buffer_.size() > 0;
        if (timed_out_ && some) co_return refusal(408, "the header took too long");
        co_return Step::closed;
      }
      if (!begun) {
        begun = true;
        watch(options_.header_timeout, AtTimeout::cancel_read);
      }
    }
  }

  // What the parser does not see.
  [[nodiscard]] std::optional<Refusal> fault_of_header() const {
    const auto& request = parser_->get();
    const bool chunked = parser_->chunked();
    const auto coding = request.find(http::field::transfer_encoding);
    if (coding != request.end() &&
        (!chunked || !beast::iequals(coding->value(), "chunked") || request.version() < 11))
      return Refusal{400, "a transfer encoding other than chunked"};
    const auto hosts = request.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && request.version() >= 11))
      return Refusal{400, "not exactly one Host field"};
    return std::nullopt;
  }

  [[nodiscard]] bool has_body() const {
    return parser_->chunked() || parser_->content_length().value_or(0) > 0;
  }

  // The body into the parser; small ones as they come, large ones when `turn` can be had.
  awaitable<Step> read_body(LargeBodyTurn& turn) {
    constexpr std::string_view kOneAtATime = "another large request is being read";
    const auto announced = parser_->content_length().value_or(0);
    if (announced > options_.body_limit) co_return refusal(413, "the body is too large");
    if (announced > kSmallBody && !turn.take()) co_return refusal(503, kOneAtATime);
    watch(options_.body_timeout, AtTimeout::cancel_read);
    if (buffer_.size() == 0 && parser_->get().version() >= 11 &&
        beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
      const bool sent = co_await write_text("HTTP/1.1 100 Continue\r\n\r\n");
      if (!sent) co_return Step::closed;
    }
    parser_->eager(true);
    parser_->body_limit(options_.body_limit);
    for (;;) {
      if (buffer_.size() > 0) {
        const error_code failed = parse();
        if (failed == http::error::body_limit) co_return refusal(413, "the body is too large");
        if (failed) co_return refusal(400, "the body is malformed");
        auto& body = parser_->get().body();
        if (body.size() > kSmallBody && !turn.mine()) {
          if (!turn.take()) co_return refusal(503, kOneAtATime);
          // Its size is not known: addresses for the largest, so that it never moves again. Only
          // what is written to takes memory.
          body.reserve(options_.body_limit);
        }
        if (parser_->is_done()) co_return Step::done;
        if (buffer_.size() == buffer_.max_size()) co_return refusal(400, "the body is malformed");
      }
      const error_code failed = co_await read_some(kRead);
      if (failed) {
        if (timed_out_) co_return refusal(408, "the body took too long");
        co_return Step::closed;
      }
    }
  }

  // --- Answering ---------------------------------------------------------------------------------

  // Whether the connection goes on.
  awaitable<bool> serve_request(bool last) {
    const auto& request = parser_->get();
    const auto field = [&request](beast::string_view name) {
      return std::string(view(request[name]));
    };
    const Header header{std::string(view(request.method_string())),
                        std::string(view(request.target())),
                        field("Authorization"),
                        field("Host"),
                        field("Origin"),
                        field("Content-Type"),
                        field("If-None-Match"),
                        field("Last-Event-ID")};
    headless_ = header.method == "HEAD";
    http10_ = request.version() < 11;
    keep_ = !last && request.keep_alive();

    if (const auto fault = fault_of_header()) {
      refusal_ = *fault;
      co_await refuse();
      co_return false;
    }
    const auto wanted = wants_body(header);
    if (!wanted || !*wanted) {
      keep_ = keep_ && !has_body();
      unwatch();
      HttpAnswer answer = wanted ? ask(header, {}) : failure();
      co_return co_await send_when_ready(std::move(answer));
    }

    std::optional<HttpAnswer> answer;
    const Step step = co_await serve_body(header, answer);
    if (step == Step::refused) co_await refuse();
    closed_ = step == Step::closed;
    if (step != Step::done) co_return false;
    co_return co_await send_when_ready(*std::move(answer));
  }

  // Reads the body, if there is one, and has the worker answer.
  awaitable<Step> serve_body(const Header& header, std::optional<HttpAnswer>& answer) {
    constexpr std::string_view kBusy = "too many requests wait";
    if (service_.queued >= options_.max_queued) co_return refusal(503, kBusy);
    LargeBodyTurn turn(service_.large_body_read);
    if (has_body()) {
      const Step read = co_await read_body(turn);
      if (read != Step::done) co_return read;
    }
    unwatch();
    const Counted queued(service_.queued);
    if (queued.number() > options_.max_queued) co_return refusal(503, kBusy);
    answer = co_await ask_on_worker(header, std::move(parser_->get().body()));
    co_return Step::done;
  }

  HttpAnswer failure() const {
    return {.status = 500,
            .body = service_.handler.error_body(500, "the request could not be answered")};
  }

  std::optional<bool> wants_body(const Header& header) const {
    try {
      return service_.handler.wants_body(header.request());
    } catch (...) {
      return std::nullopt;
    }
  }

  HttpAnswer ask(const Header& header, std::string_view body) {
    try {
      return service_.handler.answer(header.request(body));
    } catch (...) {
      return failure();
    }
  }

  awaitable<HttpAnswer> ask_on_worker(const Header& header, Body body) {
    // Only refers to what lives in the frame that waits here.
    auto work = [this, &header, &body]() -> awaitable<HttpAnswer> {
      HttpAnswer answer = ask(header, body);
      const bool large = body.size() > kSmallBody;
      Body().swap(body);
      if (large) ::malloc_trim(0);  // what the handler made of it
      co_return answer;
    };
    co_return co_await asio::co_spawn(worker_, std::move(work), asio::use_awaitable);
  }

  // Whether the client is still there to be answered.
  bool hung_up() {
    pollfd state{socket_.native_handle(), POLLRDHUP, 0};
    return ::poll(&state, 1, 0) == 1 && state.revents != 0;
  }

  awaitable<bool> send_when_ready(HttpAnswer answer) {
    // What is written down before it is answered takes a moment, a command minutes.
    milliseconds pause = kSoon;
    while (answer.later) {
      std::optional<HttpAnswer> next;
      try {
        next = answer.later();
      } catch (...) {
        next = failure();
      }
      if (next) {
        answer = *std::move(next);
        continue;
      }
      pause_.expires_after(pause);
      pause = std::min(2 * pause, kLaterPause);
      co_await pause_.async_wait(kResult);
      if (hung_up()) {
        closed_ = true;
        co_return false;
      }
    }
    co_return co_await send(std::move(answer));
  }

  Step refusal(unsigned status, std::string_view what) {
    refusal_ = {status, what};
    return Step::refused;
  }

  awaitable<void> refuse() {
    keep_ = false;
    HttpAnswer answer{.status = refusal_.status,
                      .body = service_.handler.error_body(refusal_.status, refusal_.what)};
    parser_.reset();  // and what was read of a body
    co_await send(std::move(answer));
  }

  awaitable<bool> send(HttpAnswer answer) {
    if (service_.stopping || answer.more) keep_ = false;
    const std::string header = http_head(answer, {.close = !keep_, .http10 = http10_});
    const bool bodiless = headless_ || answer.status == 204 || answer.status == 304;
    watch(options_.write_timeout, AtTimeout::close);
    const std::string_view body = bodiless ? std::string_view() : answer.body;
    bool sent = false;
    if (tls_) {
      // Each buffer is a record of its own: a small answer fits into one.
      if (body.size() <= kRead) {
        sent = co_await write_text(header + std::string(body));
      } else {
        sent = co_await write_text(header);
        if (sent) sent = co_await write(asio::buffer(body));
      }
    } else {
      sent = co_await write(std::array{asio::buffer(header), asio::buffer(body)});
    }
    if (sent && answer.more && !bodiless) sent = co_await send_more(answer.more);
    if (answer.body.size() > kSmallBody) {
      std::string().swap(answer.body);
      ::malloc_trim(0);
    }
    closed_ = !sent;
    co_return sent&& keep_;
  }

  // A body that goes on, until it ends or nobody reads it any more.
  awaitable<bool> send_more(const std::function<std::optional<std::string>()>& more) {
    while (!service_.stopping) {
      unwatch();
      std::optional<std::string> next;
      try {
        next = more();
      } catch (...) {
        co_return false;
      }
      if (!next) co_return true;
      if (!next->empty()) {
        watch(options_.write_timeout, AtTimeout::close);
        const bool sent = co_await write_text(*std::move(next));
        if (!sent) co_return false;
        continue;
      }
      pause_.expires_after(kLaterPause);
      co_await pause_.async_wait(kResult);
      if (hung_up()) co_return false;
    }
    co_return true;
  }

  awaitable<bool> write_text(std::string text) { co_return co_await write(asio::buffer(text)); }

  template <class Buffers>
  awaitable<bool> write(Buffers buffers) {
    error_code failed;
    std::size_t count = 0;
    if (tls_)
      std::tie(failed, count) = co_await asio::async_write(*tls_, buffers, kResult);
    else
      std::tie(failed, count) = co_await asio::async_write(socket_, buffers, kResult);
    co_return !failed;
  }

  // Closing a socket that holds unread bytes resets the connection, and the client may lose the
  // answer with it. So we say that we are done, and read what it still sends for a while.
  awaitable<void> linger() {
    if (closed_) co_return;
    watch(kLinger, AtTimeout::close);
    if (tls_) co_await tls_->async_shutdown(kResult);
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    buffer_.clear();
    const auto space = buffer_.prepare(kRead);
    while (!timed_out_) {
      const auto [failed, count] = co_await socket_.async_read_some(space, kResult);
      if (failed) break;
    }
    unwatch();
  }

  // --- Time --------------------------------------------------------------------------------------

  // From now on what is under way has `limit`. One clock a connection: each call replaces the last.
  void watch(milliseconds limit, AtTimeout action) {
    timed_out_ = false;
    wait(limit, action);
  }
  void unwatch() {
    ++watched_;
    timer_.cancel();
  }
  void wait(milliseconds limit, AtTimeout action) {
    timer_.expires_after(limit);
    timer_.async_wait([weak = weak_from_this(), number = ++watched_, action](error_code cancelled) {
      const auto self = weak.lock();
      if (cancelled || !self || self->watched_ != number) return;
      self->timed_out_ = true;
      error_code ignored;
      if (action == AtTimeout::close) {
        self->socket_.close(ignored);
        return;
      }
      // The read ends and the client is told. Should the read miss it (over TLS it consists of
      // several steps), the socket goes.
      self->socket_.cancel(ignored);
      self->wait(kGrace, AtTimeout::close);
    });
  }

  HttpService& service_;
  const HttpServerOptions& options_;
  const Counted counted_;
  asio::thread_pool& worker_;
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer timer_;  // of watch()
  asio::steady_timer pause_;
  std::uint64_t watched_ = 0;
  bool timed_out_ = false;

  beast::flat_buffer buffer_;  // read and not yet parsed
  std::optional<Parser> parser_;
  std::size_t header_bytes_ = 0;
  Refusal refusal_{};
  bool headless_ = false;  // the request is a HEAD
  bool http10_ = false;
  bool keep_ = false;    // the connection, after this answer
  bool closed_ = false;  // nobody is left to be told anything
};

}  // namespace

void serve_connection(asio::io_context& io, asio::thread_pool& worker, HttpService& service,
                      UniqueFd socket) {
  std::make_shared<Session>(io, worker, service, std::move(socket))->start();
}

}  // namespace ingot::agent
