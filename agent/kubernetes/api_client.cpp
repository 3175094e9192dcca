#include "agent/kubernetes/api_client.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <random>
#include <utility>

#include "agent/http/url_reference.hpp"
#include "agent/kubernetes/server_url.hpp"
#include "agent/process/secrets.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kGroup = "management.loft.sh/v1";
constexpr std::size_t kPage = 50;                // objects; a page has to fit into kAnswerLimit
constexpr std::size_t kAnswerLimit = 8UL << 20;  // bytes
constexpr std::size_t kMaxObjects = 10'000;
constexpr std::size_t kMaxPages = 1'000;
constexpr int kAttempts = 4;      // of one request, where the server is too busy
constexpr int kListAttempts = 3;  // of a list whose pages expire
constexpr milliseconds kFirstDelay{500};
constexpr milliseconds kLongestDelay{10'000};
// A server ends a watch after this time, so that a lost one is noticed even without keep-alive.
constexpr int kWatchSeconds = 240, kWatchSecondsMore = 60;
constexpr milliseconds kIdle{330'000};
constexpr std::size_t kMaxLine = 4UL << 20;  // of a watch: one object

constexpr const char* kRole =
    "the ClusterRole of docs/kubernetes.md grants what is needed (get, list and watch on osimages "
    "and sshkeys of management.loft.sh); bind it to that user";

HttpClientOptions http_options(const ApiServer& server) {
  HttpClientOptions options;
  options.ca_pem = server.ca_pem;
  options.ca_file = server.ca_file;
  options.only_these_cas = !server.ca_pem.empty() || !server.ca_file.empty();
  options.tls_insecure = server.tls_insecure;
  options.tls_server_name = server.tls_server_name;
  options.proxy = server.proxy;
  // The environment's proxies are for what is elsewhere: over plain HTTP one would be shown the
  // token that is sent to this host alone. libcurl makes no such difference, kubectl does.
  const auto url = parse_server_url(server.url, "");
  if (url && url->loopback && server.proxy.empty()) options.no_proxy = "*";
  options.client_cert_pem = server.client_cert_pem;
  options.client_key_pem = server.client_key_pem;
  options.client_cert_file = server.client_cert_file;
  options.client_key_file = server.client_key_file;
  options.answer_limit = kAnswerLimit;
  options.idle_timeout = kIdle;
  return options;
}

bool mentions(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// Lines out of the pieces that a watch comes in.
class LineReader {
 public:
  explicit LineReader(const std::function<bool(std::string_view)>& on_line) : on_line_(on_line) {}
  // False: no more of it, please.
  bool take(std::string_view part) {
    while (!part.empty()) {
      const auto end = part.find('\n');
      if (pending_.size() + std::min(end, part.size()) > kMaxLine) {
        too_long_ = true;
        return false;
      }
      pending_.append(part.substr(0, end));
      if (end == std::string_view::npos) return true;
      part.remove_prefix(end + 1);
      const std::string line = std::exchange(pending_, {});
      if (!line.empty() && !on_line_(line)) return false;
    }
    return true;
  }
  // What came without a line end.
  [[nodiscard]] const std::string& rest() const noexcept { return pending_; }
  [[nodiscard]] bool too_long() const noexcept { return too_long_; }

 private:
  const std::function<bool(std::string_view)>& on_line_;
  std::string pending_;
  bool too_long_ = false;
};

}  // namespace

Result<std::unique_ptr<ApiClient>> ApiClient::make(ApiServer server) {
  // libcurl would say no more than "problem with the local SSL certificate".
  for (const auto* file : {&server.ca_file, &server.client_cert_file, &server.client_key_file})
    if (!file->empty() && ::access(file->c_str(), R_OK) != 0)
      return tl::unexpected(system_error(
          Errc::usage_option, fmt::format("reading {} (of {})", *file, server.origin), errno));
  if (!server.token_file.empty())
    INGOT_TRY(read_secret(server.token_file, fmt::format("the token of {}", server.origin)));
  return std::unique_ptr<ApiClient>(new ApiClient(std::move(server)));
}

ApiClient::ApiClient(ApiServer server)
    : server_(std::move(server)), client_(http_options(server_)) {}

// The file is read for every request: a Pod's token is replaced every hour or so.
Result<HttpExchange> ApiClient::request(const std::string& path) {
  HttpExchange exchange{.url = server_.url + path, .headers = {"Accept: application/json"}};
  std::string token = server_.token;
  if (!server_.token_file.empty()) {
    INGOT_TRY_ASSIGN(
        token, read_secret(server_.token_file, fmt::format("the token of {}", server_.origin)));
  }
  if (!token.empty()) exchange.headers.push_back("Authorization: Bearer " + token);
  shown_token_ = std::move(token);
  return exchange;
}

Error ApiClient::explained(const Error& error) const {
  if (error.code() != Errc::controller_unreachable) return error;
  const std::string why = error.message();
  std::string advice = "check the server's URL, the network and the proxy";
  // A refusal may arrive as no more than a connection that is cut.
  if (!server_.client_cert_pem.empty() || !server_.client_cert_file.empty())
    advice += ", and whether the client certificate is still good";
  if (mentions(why, "local issuer") || mentions(why, "self-signed") ||
      mentions(why, "self signed")) {
    advice =
        "the certificate is of no CA that is trusted here; give the cluster's CA: "
        "certificate-authority in the kubeconfig, or --ca-cert";
  } else if (mentions(why, "expired") || mentions(why, "not yet valid")) {
    advice = mentions(why, "alert")
                 ? "the server refuses the client certificate; renew it (and check both clocks)"
                 : "the server's certificate has run out, or the clock here is wrong";
  } else if (mentions(why, "subject name")) {
    advice = "use a name or address that is in the certificate, or set tls-server-name";
  } else if (mentions(why, "alert")) {
    advice = "the server refuses the client certificate, or wants one";
  }
  return Error(error.code(), fmt::format("{} (as {})", why, server_.origin), advice);
}

Result<HttpReply> ApiClient::ask(const std::string& path, const std::stop_token& stop) {
  milliseconds delay = kFirstDelay;
  for (int attempt = 1;; ++attempt) {
    INGOT_TRY_ASSIGN(const HttpExchange exchange, request(path));
    auto reply = client_.exchange(exchange, stop);
    if (!reply) return tl::unexpected(explained(reply.error()));
    if (!is_temporary(reply->status) || attempt == kAttempts) return std::move(*reply);
    milliseconds wait = delay;
    if (reply->retry_after) wait = std::min<milliseconds>(*reply->retry_after, kLongestDelay);
    if (!pause(stop, wait))
      return fail(Errc::cancelled, fmt::format("stopped while asking {}", server_.url));
    delay *= 2;
  }
}

// `what`: "osimages/ubuntu-noble". `one_object`: it was one object that was asked for.
Error ApiClient::refusal(const HttpReply& reply, std::string_view what, bool one_object) const {
  const auto status = read_api_status(reply.body);
  std::string words;
  if (status) words = status->message.empty() ? status->reason : status->message;
  // A server that tells whom it did not believe must not make us tell it as well.
  if (!shown_token_.empty() && mentions(words, shown_token_)) words.clear();
  const std::string asked =
      fmt::format("asking {} for {} as {}", server_.url, what, server_.origin);
  const std::string colon_words = words.empty() ? "" : ": " + words;
  switch (reply.status) {
    case 200:
      return {Errc::controller_refused,
              fmt::format(
                  "{}: the answer ({}) is none of a Kubernetes API", asked,
                  reply.content_type.empty() ? "of no type" : printable(utf8(reply.content_type))),
              "the URL may be that of a web page in front of it, or lack a path (the platform's is "
              "/kubernetes/management)"};
    case 401:
      return {
          Errc::controller_refused,
          fmt::format("{}: the credentials are not accepted (401){}", asked, colon_words),
          "they have run out, were revoked, or are for another server: renew the token "
          "(`kubectl create token`, or an access key of the platform) or the client certificate"};
    case 403:
      return {one_object ? Errc::access_denied : Errc::controller_refused,
              fmt::format("{}: forbidden (403){}", asked, colon_words), kRole};
    case 404:
      return {Errc::controller_refused,
              fmt::format("{}: the server has no {} (404){}", asked, kGroup, colon_words),
              "the platform is not installed in that cluster, or the URL lacks a path (the "
              "platform's is /kubernetes/management)"};
    default:
      break;
  }
  if (reply.status >= 300 && reply.status < 400)
    return {Errc::controller_refused,
            fmt::format("{}: the server leads elsewhere (status {}), which is not followed: the "
                        "credentials are for it alone",
                        asked, reply.status),
            "name the final URL"};
  return {Errc::controller_refused,
          fmt::format("{}: status {}{}", asked, reply.status, colon_words),
          is_temporary(reply.status) ? "the server is busy or broken; try again later" : ""};
}

Result<std::optional<ApiObject>> ApiClient::get(const std::string& resource,
                                                const std::string& name,
                                                const std::stop_token& stop) {
  const std::string what = fmt::format("{}/{}", resource, name);
  INGOT_TRY_ASSIGN(
      const HttpReply reply,
      ask(fmt::format("/apis/{}/{}/{}", kGroup, resource, percent_encoded(name)), stop));
  if (reply.status == 404) {
    // The object is missing, or all of its kind: then the answer is no Status of this object.
    const auto status = read_api_status(reply.body);
    if (status && status->reason == "NotFound" && status->object == name)
      return std::optional<ApiObject>();
  }
  if (reply.status != 200) return tl::unexpected(refusal(reply, what, true));
  auto object = read_api_object(reply.body);
  if (!object) return tl::unexpected(refusal(reply, what, true));
  if (object->name != name)
    return fail(Errc::controller_refused,
                fmt::format("asking {} for {}: the answer is another object, '{}'", server_.url,
                            what, printable(utf8(object->name))));
  return object;
}

Result<ApiList> ApiClient::list(const std::string& resource, const std::stop_token& stop) {
  const std::string base = fmt::format("/apis/{}/{}", kGroup, resource);
  const auto too_many = [&] {
    return fail(Errc::controller_refused, fmt::format("asking {} for {}: more than {} of them",
                                                      server_.url, resource, kMaxObjects));
  };
  for (int attempt = 1;; ++attempt) {
    // Where pages expire faster than they can be fetched, all are asked for at once.
    const bool paged = attempt < kListAttempts;
    ApiList all;
    std::string next;
    for (std::size_t pages = 0;; ++pages) {
      if (pages == kMaxPages) return too_many();
      std::string path = base;
      if (paged) path += fmt::format("?limit={}", kPage);
      if (!next.empty()) path += (paged ? "&continue=" : "?continue=") + percent_encoded(next);
      INGOT_TRY_ASSIGN(const HttpReply reply, ask(path, stop));
      if (reply.status == 410 && attempt < kListAttempts) break;
      if (reply.status != 200) return tl::unexpected(refusal(reply, resource, false));
      auto page = read_api_page(reply.body);
      if (!page) return tl::unexpected(refusal(reply, resource, false));
      for (auto& object : page->objects) all.objects.push_back(std::move(object));
      if (all.objects.size() > kMaxObjects) return too_many();
      all.version = std::move(page->version);
      next = std::move(page->next);
      if (next.empty()) return all;
    }
  }
}

Result<void> ApiClient::watch(const std::string& resource, const std::string& version,
                              const std::function<bool(ApiEvent)>& on_event, bool& expired,
                              const std::stop_token& stop) {
  constexpr std::size_t kMaxRefusal = 64UL << 10;
  if (!watcher_) watcher_ = std::make_unique<HttpClient>(http_options(server_));
  static thread_local std::minstd_rand random{std::random_device{}()};
  // Not all who began together shall come again together.
  std::uniform_int_distribution<int> more(0, kWatchSecondsMore);
  const std::string path = fmt::format(
      "/apis/{}/{}?watch=1&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds={}", kGroup,
      resource, percent_encoded(version), kWatchSeconds + more(random));
  INGOT_TRY_ASSIGN(HttpExchange exchange, request(path));
  expired = false;
  std::string other;  // what is no event: with another status than 200, the reason
  std::optional<ApiStatus> error;
  bool events = false;
  const std::function<bool(std::string_view)> on_line = [&](std::string_view line) {
    auto event = events || other.empty() ? read_api_event(line) : std::nullopt;
    if (!event) {
      other.append(line).append("\n");
      return !events && other.size() < kMaxRefusal;
    }
    events = true;
    if (event->type == ApiEvent::Type::error) {
      error = std::move(event->status);
      return false;
    }
    return on_event(std::move(*event));
  };
  LineReader lines(on_line);
  exchange.on_data = [&](std::string_view part) { return lines.take(part); };
  auto reply = watcher_->exchange(exchange, stop);
  if (!reply) return tl::unexpected(explained(reply.error()));
  if (lines.too_long())
    return fail(Errc::controller_refused,
                fmt::format("watching {} of {}: an event of more than {} bytes", resource,
                            server_.url, kMaxLine));
  if (error && (error->code == 410 || error->reason == "Expired" || error->reason == "Gone")) {
    expired = true;
    return {};
  }
  if (error)
    return fail(Errc::controller_refused,
                fmt::format("watching {} of {}: {}", resource, server_.url, error->message));
  expired = reply->status == 410;
  if (expired || (reply->status == 200 && other.empty())) return {};
  if (!events) other += lines.rest();
  reply->body = std::move(other);
  if (reply->status == 200)
    return fail(Errc::controller_refused,
                fmt::format("watching {} of {}: what came is no event", resource, server_.url));
  return tl::unexpected(refusal(*reply, resource, false));
}

}  // namespace ingot::agent
