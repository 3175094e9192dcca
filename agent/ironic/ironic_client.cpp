#include "agent/ironic/ironic_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/http/http_client.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr ApiVersion kNewestLookup{1, 62}, kNewestHeartbeat{1, 72};
constexpr std::size_t kShortestToken = 32, kLongestToken = 4096;
constexpr std::string_view kWithheld = "******";
constexpr const char* kCheckUrl = "check that ipa-api-url names Ironic's API, without /v1";

std::optional<std::vector<std::string>> strings(const json::value* value) {
  if (value == nullptr || !value->is_array()) return std::nullopt;
  std::vector<std::string> out;
  for (const auto& item : value->get_array())
    if (item.is_string()) out.emplace_back(item.get_string());
  return out;
}

tl::unexpected<Error> no_answer(std::string_view what) {
  return fail(Errc::controller_refused, fmt::format("Ironic's answer to the lookup {}", what),
              "check that ipa-api-url names Ironic's API");
}

// Good enough to become part of a path or a query.
bool is_uuid(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

}  // namespace

std::string ApiVersion::text() const {
  return fmt::format("{}.{}", major, minor);
}

std::optional<ApiVersion> ApiVersion::parse(std::string_view text) {
  ApiVersion version;
  const auto* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, version.major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, version.minor);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return version;
}

Result<LookupAnswer> read_lookup_answer(std::string_view body) {
  constexpr std::int64_t kLongestTimeout = 86'400;
  const auto parsed = parse_json_object(body);
  if (!parsed) return no_answer("is no JSON object");
  LookupAnswer answer;
  const json::object* node = object_in(*parsed, "node");
  if (node == nullptr) return no_answer("names no node");
  answer.uuid = string_in(*node, "uuid");
  if (!is_uuid(answer.uuid)) return no_answer("names no UUID of the node");
  answer.node = json::serialize(*node);
  const json::object* config = object_in(*parsed, "config");
  const json::object& settings = config != nullptr ? *config : *parsed;
  const auto timeout = integer_in(settings, "heartbeat_timeout");
  if (!timeout || *timeout < 1 || *timeout > kLongestTimeout)
    return no_answer("has no heartbeat_timeout");
  answer.heartbeat_timeout = std::chrono::seconds(*timeout);
  const std::string token = string_in(settings, "agent_token");
  answer.token_withheld = token == kWithheld;
  if (token.size() >= kShortestToken && token.size() <= kLongestToken) answer.token = token;
  answer.md5_allowed = bool_in(settings, "agent_md5_checksum_enable");
  answer.permitted_formats = strings(settings.if_contains("permitted_image_formats"));
  answer.skip_bmc_detection = bool_in(settings, "agent_skip_bmc_detect").value_or(false);
  answer.tls_min_version = string_in(settings, "tls_min_version");
  answer.tls_cipher_suites = string_in(settings, "tls_cipher_suites");
  return answer;
}

std::string error_text(std::string_view body) {
  auto parsed = parse_json_object(body);
  if (!parsed) return {};
  if (const json::value* message = parsed->if_contains("error_message")) {
    if (message->is_object()) {
      parsed = message->get_object();
    } else if (message->is_string()) {
      auto inner = parse_json_object(message->get_string());
      if (!inner) return printable(std::string_view(message->get_string()));
      parsed = std::move(inner);
    }
  }
  return printable(string_in(*parsed, "faultstring"));
}

class IronicClient::Impl {
 public:
  explicit Impl(const AgentOptions& options)
      : options_(options), urls_(options.api_urls), client_(client_options(options)) {
    if (!options.api_version.empty()) version = ApiVersion::parse(options.api_version);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  using Answer = HttpReply;

  // `path` at the first API that can be reached, be it through a proxy.
  Result<Answer> api(const std::string& path, const std::optional<std::string>& body,
                     const std::optional<ApiVersion>& header, const std::stop_token& stop) {
    if (urls_.empty())
      return fail(Errc::controller_unreachable, "no URL of Ironic's API is known",
                  "give ipa-api-url on the kernel command line, or --api-url");
    for (std::size_t i = 0;; ++i) {
      auto answer = request(urls_[i] + path, body, header, stop);
      const bool last = i + 1 == urls_.size() || stop.stop_requested();
      if (answer && (last || !is_gone(answer->status))) {
        std::rotate(urls_.begin(), urls_.begin() + static_cast<std::ptrdiff_t>(i),
                    urls_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return answer;
      }
      if (last) return answer;
    }
  }

  // A proxy says that there is nothing behind it.
  static bool is_gone(long status) {
    constexpr long kBadGateway = 502, kUnavailable = 503, kGatewayTimeout = 504;
    return status == kBadGateway || status == kUnavailable || status == kGatewayTimeout;
  }

  Result<Answer> request(const std::string& url, const std::optional<std::string>& body,
                         const std::optional<ApiVersion>& header, const std::stop_token& stop) {
    last_status = 0;
    HttpExchange exchange{
        .url = url,
        .body = body,
        .headers = {"Accept: application/json", "Content-Type: application/json"}};
    if (header) exchange.headers.push_back("X-OpenStack-Ironic-API-Version: " + header->text());
    if (!options_.global_request_id.empty())
      exchange.headers.push_back("X-OpenStack-Request-ID: " + options_.global_request_id);
    auto answer = client_.exchange(exchange, stop);
    if (!answer && answer.error().code() == Errc::controller_unreachable)
      return tl::unexpected(Error(Errc::controller_unreachable, answer.error().message(),
                                  "check the network, and ipa-api-url on the kernel command line")
                                .with_context("Ironic"));
    if (answer) last_status = answer->status;
    return answer;
  }

  // That whoever is at `url` refused `what`.
  static tl::unexpected<Error> refused(std::string_view what, std::string_view url,
                                       const Answer& answer, const char* advice) {
    const std::string why = error_text(answer.body);
    return fail(Errc::controller_refused,
                fmt::format("{}: Ironic at {} answered with status {}{}{}", what, redacted(url),
                            answer.status, why.empty() ? "" : ": ", why),
                advice);
  }

  [[nodiscard]] const std::string& url() const {
    static const std::string none;
    return urls_.empty() ? none : urls_.front();
  }

  void set_tls(const std::string& min_version, const std::string& cipher_suites) {
    client_.set_tls(min_version, cipher_suites);
  }

  std::optional<ApiVersion> version;
  long last_status = 0;

 private:
  static HttpClientOptions client_options(const AgentOptions& options) {
    HttpClientOptions made;
    made.ca_file = options.ca_file;
    made.tls_insecure = options.tls_insecure;
    made.min_tls_version = options.tls_min_version;
    made.cipher_suites = options.tls_cipher_suites;
    made.client_cert_file = options.client_cert_file;
    made.client_key_file = options.client_key_file;
    made.timeout = options.http_request_timeout;
    return made;
  }

  const AgentOptions& options_;
  std::vector<std::string> urls_;  // the one that answered last comes first
  HttpClient client_;
};

IronicClient::IronicClient(const AgentOptions& options) : impl_(std::make_unique<Impl>(options)) {}

IronicClient::~IronicClient() = default;

Result<ApiVersion> IronicClient::discover(const std::stop_token& stop) {
  if (impl_->version) return *impl_->version;
  INGOT_TRY_ASSIGN(const auto answer, impl_->api("/", std::nullopt, std::nullopt, stop));
  if (answer.status != 200)
    return Impl::refused("asking for the API's version", impl_->url(), answer, kCheckUrl);
  if (const auto parsed = parse_json_object(answer.body))
    if (const json::object* version = object_in(*parsed, "default_version"))
      impl_->version = ApiVersion::parse(string_in(*version, "version"));
  if (!impl_->version)
    return fail(Errc::controller_refused,
                fmt::format("what answers at {} does not name a version of Ironic's API",
                            redacted(impl_->url())),
                kCheckUrl);
  return *impl_->version;
}

Result<LookupAnswer> IronicClient::lookup(const std::vector<std::string>& macs,
                                          const std::string& node_uuid,
                                          const std::stop_token& stop) {
  std::string path = "/v1/lookup?addresses=";
  for (std::size_t i = 0; i < macs.size(); ++i) path += (i == 0 ? "" : ",") + macs[i];
  if (!node_uuid.empty()) path += "&node_uuid=" + node_uuid;
  const auto version = std::min(impl_->version.value_or(kNewestLookup), kNewestLookup);
  INGOT_TRY_ASSIGN(const auto answer, impl_->api(path, std::nullopt, version, stop));
  if (answer.status != 200) {
    constexpr long kNotFound = 404;
    return Impl::refused("looking up this node", impl_->url(), answer,
                         answer.status == kNotFound
                             ? "give the node a port with one of these MAC addresses; Ironic finds "
                               "only nodes that it is deploying, cleaning, inspecting or rescuing"
                             : "the log of ironic-api says why");
  }
  return read_lookup_answer(answer.body);
}

Result<void> IronicClient::heartbeat(const std::string& node_uuid, const Heartbeat& heartbeat,
                                     const std::stop_token& stop) {
  const auto version = std::min(impl_->version.value_or(kWithCertificate), kNewestHeartbeat);
  json::object body{{"callback_url", heartbeat.callback_url}, {"agent_version", INGOT_VERSION}};
  if (version >= kWithToken) body["agent_token"] = heartbeat.token;
  if (version >= kWithCertificate && !heartbeat.certificate.empty())
    body["agent_verify_ca"] = heartbeat.certificate;
  if (version >= kWithStatus && !heartbeat.message.empty())
    body["agent_status_message"] = utf8(heartbeat.message);
  INGOT_TRY_ASSIGN(const auto answer,
                   impl_->api("/v1/heartbeat/" + node_uuid, json::serialize(body), version, stop));
  if (answer.status != 202)
    return Impl::refused("sending a heartbeat", impl_->url(), answer,
                         "the logs of ironic-api and ironic-conductor say why");
  return {};
}

Result<std::string> IronicClient::continue_inspection(const std::vector<std::string>& urls,
                                                      const std::string& body,
                                                      const std::stop_token& stop) {
  Error last(Errc::controller_unreachable, "no URL to send the inspection's data to is known");
  for (const auto& url : urls) {
    auto answer = impl_->request(url, body, std::nullopt, stop);
    if (!answer) {
      last = answer.error();
      continue;
    }
    if (answer->status < 200 || answer->status >= 300)
      return Impl::refused(
          "sending the inspection's data", url, *answer,
          "check ipa-inspection-callback-url; the log of who answers there says why");
    const auto parsed = parse_json_object(answer->body);
    std::string uuid = parsed ? string_in(*parsed, "uuid") : std::string();
    return is_uuid(uuid) ? uuid : std::string();
  }
  return tl::unexpected(std::move(last));
}

long IronicClient::last_status() const noexcept {
  return impl_->last_status;
}
const std::string& IronicClient::api_url() const noexcept {
  return impl_->url();
}
const std::optional<ApiVersion>& IronicClient::version() const noexcept {
  return impl_->version;
}
void IronicClient::set_tls(const std::string& min_version, const std::string& cipher_suites) {
  impl_->set_tls(min_version, cipher_suites);
}

}  // namespace ingot::agent
