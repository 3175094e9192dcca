#include "agent/provision/request_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "agent/http/url_reference.hpp"
#include "agent/machine/kernel_text.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kMostRequest = 1UL << 20;  // bytes
constexpr std::chrono::seconds kMostRetryAfter{600};

bool is_file_url(std::string_view url) {
  return lower_case(url.substr(0, 5)) == "file:";
}

std::string_view refusal_advice(long status) {
  if (status == 401 || status == 403)
    return "check the token (--token-file, ingot.token-file=) and what the server lets it see";
  if (status >= 300 && status < 400)
    return "redirects are not followed, since the token is for this server: give the final URL";
  return "check the URL; the server's log says more";
}

// A member of the error that the server sent, as ingot-controller does: {"error": {"message": …,
// "advice": …}}. Fit for a terminal; "" if there is none, or it repeats the token.
std::string words_of(const HttpReply& reply, const char* member, const std::string& token) {
  constexpr std::size_t kMost = 500;
  const auto body = parse_json_object(reply.body);
  const boost::json::object* const error = body ? object_in(*body, "error") : nullptr;
  if (error == nullptr) return {};
  const std::string words = printable(string_in(*error, member));
  if (!token.empty() && words.find(token) != std::string::npos) return {};
  return words.substr(0, kMost);
}

}  // namespace

RequestSource::RequestSource(std::string url, std::string token, const HttpClientOptions& http)
    : url_(std::move(url)), token_(std::move(token)) {
  if (is_file_url(url_)) return;
  HttpClientOptions options = http;
  options.answer_limit = kMostRequest;
  client_ = std::make_unique<HttpClient>(std::move(options));
}

RequestSource::~RequestSource() = default;

Result<SourceAnswer> RequestSource::ask(const std::stop_token& stop) {
  retry_after_.reset();
  if (is_file()) {
    const std::string text = read_bytes(url_path(url_), kMostRequest + 1);
    if (text.empty())
      return fail(Errc::usage_option,
                  fmt::format("reading {}: it is empty, or cannot be read", url_),
                  "name a file that holds a DeployRequest or an OSImage");
    return understand(std::string_view(text));
  }
  HttpExchange exchange{.url = url_};
  exchange.headers.emplace_back("Accept: application/json, application/yaml;q=0.9, */*;q=0.1");
  if (!token_.empty()) exchange.headers.push_back("Authorization: Bearer " + token_);
  const auto reply = client_->exchange(exchange, stop);
  if (!reply && reply.error().code() == Errc::controller_unreachable)
    return fail(Errc::controller_unreachable, reply.error().message(),
                "check the URL, and from here the way to the server: its name, the network, a "
                "proxy, its certificate (ingot.ca-cert=)");
  if (!reply) return tl::unexpected(reply.error());
  if (reply->retry_after) retry_after_ = std::min(*reply->retry_after, kMostRetryAfter);
  return understand(*reply);
}

Result<SourceAnswer> RequestSource::understand(const HttpReply& reply) const {
  constexpr long kOk = 200, kNoContent = 204, kNotFound = 404;
  switch (reply.status) {
    case kOk:
      return understand(std::string_view(reply.body));
    case kNoContent:
      return SourceAnswer{SourceAnswer::Kind::nothing_to_do};
    case kNotFound:
      return SourceAnswer{SourceAnswer::Kind::not_known};
    default:
      break;
  }
  const std::string words = words_of(reply, "message", token_);
  std::string advice = words_of(reply, "advice", token_);
  const std::string what =
      fmt::format("asking {}: the server answered with status {}{}{}", redacted(url_), reply.status,
                  words.empty() ? "" : ": ", words);
  if (is_temporary(reply.status))
    return fail(Errc::controller_unreachable, what,
                advice.empty() ? "the server's log says more" : std::move(advice));
  return fail(Errc::controller_refused, what,
              advice.empty() ? std::string(refusal_advice(reply.status)) : std::move(advice));
}

Result<SourceAnswer> RequestSource::understand(std::string_view text) const {
  SourceAnswer answer;
  INGOT_TRY_ASSIGN(answer.request, parse_deploy_request(text, redacted(url_)));
  std::string& report = answer.request.report_url;
  if (!report.empty()) {
    INGOT_TRY_ASSIGN(report, resolve(report));
  }
  return answer;
}

Result<std::string> RequestSource::resolve(const std::string& reference) const {
  auto whole = resolve_reference(url_, reference);
  if (whole) return whole;
  return fail(Errc::usage_manifest, "the report URL: " + whole.error().message(),
              "give an absolute URL, or a path on the server that was asked");
}

}  // namespace ingot::agent
