#include "agent/http/http_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { ::curl_free(text); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

void append(List& list, const std::string& line) {
  curl_slist* const longer = ::curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) return;
  static_cast<void>(list.release());
  list.reset(longer);
}

// How an exchange looks whose server is verified by another name than the URL's: the name stands in
// the URL, and the connection and the Host header are led back to the URL's host.
struct OtherName {
  std::string url, connect_to, host_header;
};

// Nothing if it is no URL, of which libcurl will say more.
std::optional<OtherName> under_name(const std::string& url, const std::string& name) {
  const std::unique_ptr<CURLU, FreeUrl> parts(::curl_url());
  const auto get = [&parts](CURLUPart part) {
    char* text = nullptr;
    if (::curl_url_get(parts.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
      return std::string();
    const std::unique_ptr<char, FreeText> owner(text);
    return std::string(text);
  };
  if (!parts || ::curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const std::string host = get(CURLUPART_HOST), port = get(CURLUPART_PORT);
  if (::curl_url_set(parts.get(), CURLUPART_HOST, name.c_str(), 0) != CURLUE_OK) return {};
  return OtherName{get(CURLUPART_URL), fmt::format("{}:{}:{}:{}", name, port, host, port),
                   fmt::format("Host: {}:{}", host, port)};
}

// What libcurl's callbacks write to.
struct Receiver {
  const HttpExchange& what;
  const std::stop_token& stop;
  const std::size_t limit;
  std::string body;
  bool too_large = false, ended = false;

  [[nodiscard]] bool given_up() const {
    return stop.stop_requested() || (what.give_up && what.give_up());
  }
};

std::size_t on_body(const char* data, std::size_t size, std::size_t count, void* into) {
  auto& to = *static_cast<Receiver*>(into);
  const std::string_view part(data, size * count);
  if (to.what.on_data) {
    to.ended = !to.what.on_data(part);
    return to.ended ? 0 : part.size();
  }
  if (to.body.size() + part.size() > to.limit) {
    to.too_large = true;
    return 0;
  }
  to.body.append(part);
  return part.size();
}

// Called at least once a second while an exchange is under way.
int on_progress(void* receiver, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const Receiver*>(receiver)->given_up() ? 1 : 0;
}

}  // namespace

bool is_temporary(long status) noexcept {
  return status == 408 || status == 425 || status == 429 ||
         (status >= 500 && status != 501 && status != 505);
}

class HttpClient::Impl {
 public:
  explicit Impl(HttpClientOptions options)
      : options_(std::move(options)), curl_(::curl_easy_init()) {}
  ~Impl() { ::curl_easy_cleanup(curl_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<HttpReply> exchange(const HttpExchange& what, const std::stop_token& stop) {
    if (curl_ == nullptr) return fail(Errc::internal_bug, "no memory for a request");
    last_problem_.clear();
    ::curl_easy_reset(curl_);
    char problem[CURL_ERROR_SIZE] = {};
    List headers, connect_to;
    for (const auto& line : what.headers) append(headers, line);
    append(headers, "Expect:");  // no round trip for a body this small
    Receiver receiver{what, stop, options_.answer_limit, {}};
    std::optional<OtherName> other;
    if (!options_.tls_server_name.empty()) other = under_name(what.url, options_.tls_server_name);
    if (other) {
      append(headers, other->host_header);
      append(connect_to, other->connect_to);
      set(CURLOPT_CONNECT_TO, connect_to.get());
    }
    set(CURLOPT_URL, other ? other->url.c_str() : what.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "ingot/" INGOT_VERSION);
    set(CURLOPT_ERRORBUFFER, problem);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, &receiver);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, &receiver);
    set_time(what.on_data != nullptr);
    if (what.body) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDS, what.body->data());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(what.body->size()));
    }
    if (!options_.proxy.empty()) set(CURLOPT_PROXY, options_.proxy.c_str());
    if (!options_.no_proxy.empty()) set(CURLOPT_NOPROXY, options_.no_proxy.c_str());
    set_tls();
    const CURLcode code = ::curl_easy_perform(curl_);
    if (code != CURLE_OK && !receiver.ended) {
      if (receiver.given_up())
        return fail(Errc::cancelled, fmt::format("stopped while asking {}", redacted(what.url)));
      last_problem_ = reason(receiver, code, problem);
      return fail(Errc::controller_unreachable,
                  fmt::format("asking {}: {}", redacted(what.url), last_problem_));
    }
    return reply(std::move(receiver.body));
  }

  [[nodiscard]] const std::string& last_problem() const noexcept { return last_problem_; }

  void set_tls(const std::string& min_version, const std::string& cipher_suites) {
    if (!min_version.empty()) options_.min_tls_version = min_version;
    if (!cipher_suites.empty()) options_.cipher_suites = cipher_suites;
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    ::curl_easy_setopt(curl_, option, value);
  }

  void set_time(bool as_it_comes) {
    const auto timeout = static_cast<long>(options_.timeout.count());
    set(CURLOPT_CONNECTTIMEOUT_MS, timeout);
    if (!as_it_comes) {
      set(CURLOPT_TIMEOUT_MS, timeout);
      return;
    }
    const auto idle = static_cast<long>(options_.idle_timeout.count());
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, std::max((idle > 0 ? idle : timeout) / 1000, 1L));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
  }

  // libcurl keeps a connection only for who shows the same text again, so it may refer to ours.
  void set_text(CURLoption option, std::string& text) {
    curl_blob blob{text.data(), text.size(), CURL_BLOB_NOCOPY};
    set(option, &blob);
  }

  void set_tls() {
    set(CURLOPT_SSLVERSION,
        options_.min_tls_version == "1.3" ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2);
    if (!options_.cipher_suites.empty())
      set(CURLOPT_SSL_CIPHER_LIST, options_.cipher_suites.c_str());
    if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
    if (!options_.ca_pem.empty()) set_text(CURLOPT_CAINFO_BLOB, options_.ca_pem);
    // libcurl would go on trusting the system's folder of certificates.
    if (options_.only_these_cas) set<const char*>(CURLOPT_CAPATH, nullptr);
    if (options_.tls_insecure) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!options_.client_cert_file.empty() && !options_.client_key_file.empty()) {
      set(CURLOPT_SSLCERT, options_.client_cert_file.c_str());
      set(CURLOPT_SSLKEY, options_.client_key_file.c_str());
    }
    if (!options_.client_cert_pem.empty() && !options_.client_key_pem.empty()) {
      set_text(CURLOPT_SSLCERT_BLOB, options_.client_cert_pem);
      set_text(CURLOPT_SSLKEY_BLOB, options_.client_key_pem);
    }
  }

  static std::string reason(const Receiver& receiver, CURLcode code, const char* problem) {
    if (receiver.too_large) return fmt::format("the answer has more than {} bytes", receiver.limit);
    return problem[0] != '\0' ? problem : ::curl_easy_strerror(code);
  }

  HttpReply reply(std::string body) {
    HttpReply reply;
    reply.body = std::move(body);
    ::curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &reply.status);
    const char* type = nullptr;
    ::curl_easy_getinfo(curl_, CURLINFO_CONTENT_TYPE, &type);
    if (type != nullptr) reply.content_type = type;
    curl_off_t after = 0;
    ::curl_easy_getinfo(curl_, CURLINFO_RETRY_AFTER, &after);
    if (after > 0) reply.retry_after = std::chrono::seconds(after);
    return reply;
  }

  HttpClientOptions options_;
  CURL* const curl_;
  std::string last_problem_;
};

HttpClient::HttpClient(HttpClientOptions options) {
  // Counted and thread-safe; for the process's life.
  static const CURLcode once = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
  impl_ = std::make_unique<Impl>(std::move(options));
}

HttpClient::~HttpClient() = default;

Result<HttpReply> HttpClient::exchange(const HttpExchange& what, const std::stop_token& stop) {
  return impl_->exchange(what, stop);
}

const std::string& HttpClient::last_problem() const noexcept {
  return impl_->last_problem();
}

void HttpClient::set_tls(const std::string& min_version, const std::string& cipher_suites) {
  impl_->set_tls(min_version, cipher_suites);
}

}  // namespace ingot::agent
