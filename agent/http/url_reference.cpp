#include "agent/http/url_reference.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

#include "disk/core/lower_case.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { ::curl_free(text); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

// Nothing is guessed: not a scheme, not a missing host.
Url parse(const std::string& text) {
  Url url(::curl_url());
  if (url && ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
  return url;
}

// "" if there is none.
std::string part(const Url& url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, FreeText> owner(text);
  return text;
}

bool is_web(const Url& url) {
  const std::string scheme = part(url, CURLUPART_SCHEME);
  return (scheme == "http" || scheme == "https") && !part(url, CURLUPART_HOST).empty();
}

}  // namespace

Result<std::string> resolve_reference(const std::string& base, const std::string& reference) {
  const Url url = parse(base);
  if (url && !reference.empty() &&
      ::curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) == CURLUE_OK && is_web(url))
    return part(url, CURLUPART_URL);
  return fail(Errc::usage_option, fmt::format("'{}', seen from {}, is no http or https URL",
                                              redacted(reference), redacted(base)));
}

Result<UrlParts> url_parts(const std::string& url) {
  const Url parsed = parse(url);
  // Where nothing stands for the host, libcurl takes the path's beginning.
  const bool hostless = url.find(":///") != std::string::npos;
  const bool no_port = parsed && part(parsed, CURLUPART_PORT) == "0";
  if (!parsed || !is_web(parsed) || hostless || no_port)
    return fail(Errc::usage_option, fmt::format("'{}' is no URL with a host", redacted(url)));
  UrlParts parts{.scheme = part(parsed, CURLUPART_SCHEME),
                 .host = lower_case(part(parsed, CURLUPART_HOST)),
                 .port = part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT),
                 .path = part(parsed, CURLUPART_PATH),
                 .has_user = !part(parsed, CURLUPART_USER).empty() ||
                             !part(parsed, CURLUPART_PASSWORD).empty(),
                 .has_query_or_fragment = url.find_first_of("?#") != std::string::npos};
  if (parts.host.starts_with('[') && parts.host.ends_with(']'))
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  return parts;
}

std::string percent_encoded(std::string_view text) {
  if (text.empty()) return {};  // libcurl would measure it
  const std::unique_ptr<char, FreeText> encoded(
      ::curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())));
  return encoded ? std::string(encoded.get()) : std::string();
}

bool same_origin(const std::string& one, const std::string& other) {
  const auto first = url_parts(one), second = url_parts(other);
  return first && second && first->scheme == second->scheme && first->host == second->host &&
         first->port == second->port;
}

}  // namespace ingot::agent
