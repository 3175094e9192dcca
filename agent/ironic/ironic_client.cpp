#include "agent/ironic/ironic_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/ironic/json_text.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostAnswer = 4UL << 20;
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
      : options_(options), urls_(options.api_urls), curl_(::curl_easy_init()) {
    tls_min_version_ = options.tls_min_version;
    tls_cipher_suites_ = options.tls_cipher_suites;
    if (!options.api_version.empty()) version = ApiVersion::parse(options.api_version);
  }
  ~Impl() { ::curl_easy_cleanup(curl_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  struct Answer {
    long status = 0;
    std::string body;
  };

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
    if (curl_ == nullptr) return fail(Errc::internal_bug, "no memory for a request");
    ::curl_easy_reset(curl_);
    Answer answer;
    char problem[CURL_ERROR_SIZE] = {};
    curl_slist* headers = nullptr;
    const auto add = [&headers](const std::string& line) {
      if (curl_slist* longer = ::curl_slist_append(headers, line.c_str())) headers = longer;
    };
    add("Accept: application/json");
    add("Content-Type: application/json");
    add("Expect:");
    if (header) add("X-OpenStack-Ironic-API-Version: " + header->text());
    if (!options_.global_request_id.empty())
      add("X-OpenStack-Request-ID: " + options_.global_request_id);
    const auto timeout = static_cast<long>(options_.http_request_timeout.count());
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT, timeout);
    set(CURLOPT_CONNECTTIMEOUT, timeout);
    set(CURLOPT_USERAGENT, "ingot/" INGOT_VERSION);
    set(CURLOPT_ERRORBUFFER, problem);
    set(CURLOPT_WRITEFUNCTION, &Impl::on_body);
    set(CURLOPT_WRITEDATA, &answer.body);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Impl::on_progress);
    set(CURLOPT_XFERINFODATA, &stop);
    if (body) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDS, body->data());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    }
    set_tls();
    const CURLcode code = ::curl_easy_perform(curl_);
    ::curl_slist_free_all(headers);
    if (code != CURLE_OK) {
      if (stop.stop_requested()) return fail(Errc::cancelled, "stopped while asking Ironic");
      return fail(Errc::controller_unreachable,
                  fmt::format("asking Ironic at {}: {}", redacted(url),
                              problem[0] != '\0' ? problem : ::curl_easy_strerror(code)),
                  "check the network, and ipa-api-url on the kernel command line");
    }
    ::curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &answer.status);
    last_status = answer.status;
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
    if (!min_version.empty()) tls_min_version_ = min_version;
    if (!cipher_suites.empty()) tls_cipher_suites_ = cipher_suites;
  }

  std::optional<ApiVersion> version;
  long last_status = 0;

 private:
  template <class T>
  void set(CURLoption option, T value) {
    ::curl_easy_setopt(curl_, option, value);
  }

  void set_tls() {
    set(CURLOPT_SSLVERSION,
        tls_min_version_ == "1.3" ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2);
    if (!tls_cipher_suites_.empty()) set(CURLOPT_SSL_CIPHER_LIST, tls_cipher_suites_.c_str());
    if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
    if (options_.tls_insecure) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!options_.client_cert_file.empty() && !options_.client_key_file.empty()) {
      set(CURLOPT_SSLCERT, options_.client_cert_file.c_str());
      set(CURLOPT_SSLKEY, options_.client_key_file.c_str());
    }
  }

  static std::size_t on_body(const char* data, std::size_t size, std::size_t count, void* into) {
    auto& body = *static_cast<std::string*>(into);
    if (body.size() + size * count > kMostAnswer) return 0;
    body.append(data, size * count);
    return size * count;
  }

  static int on_progress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
  }

  const AgentOptions& options_;
  std::vector<std::string> urls_;  // the one that answered last comes first
  std::string tls_min_version_, tls_cipher_suites_;
  CURL* const curl_;
};

IronicClient::IronicClient(const AgentOptions& options) {
  // Counted and thread-safe; for the process's life.
  static const CURLcode once = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
  impl_ = std::make_unique<Impl>(options);
}

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
