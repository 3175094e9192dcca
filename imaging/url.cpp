#include "imaging/url.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>
#include <span>

#include "disk/core/lower_case.hpp"
#include "disk/core/printable.hpp"
#include "disk/core/url_text.hpp"
#include "imaging/source.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kShown = 300;  // characters of an address in a message

struct CurlUrlDeleter {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

std::string part(const CurlUrl& url, CURLUPart what, unsigned flags = 0) {
  char* value = nullptr;
  if (curl_url_get(url.get(), what, &value, flags) != CURLUE_OK || value == nullptr) return {};
  std::string out(value);
  curl_free(value);
  return out;
}

// The URL's parts; clears userinfo and fragment in `url` on the way.
Url take_apart(const CurlUrl& url) {
  Url out;
  out.scheme = lower_case(part(url, CURLUPART_SCHEME));
  out.user = part(url, CURLUPART_USER, CURLU_URLDECODE);
  out.password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
  if (out.scheme == "file") {
    out.host = lower_case(part(url, CURLUPART_HOST));
    out.path = part(url, CURLUPART_PATH, CURLU_URLDECODE);
  } else {
    out.host = lower_case(part(url, CURLUPART_HOST));
    out.port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  }
  for (const auto what :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT})
    curl_url_set(url.get(), what, nullptr, 0);
  out.text = part(url, CURLUPART_URL);
  return out;
}

std::string shown(std::string_view url) {
  const std::string safe = redacted(url);
  return printable(std::as_bytes(std::span(safe)), kShown);
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const CurlUrl url(curl_url());
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::usage_option, fmt::format("the URL {} {}", shown(text), why),
                "give an http, https or file URL, e.g. https://example.org/disk.qcow2");
  };
  if (text.empty()) return refuse("is empty");
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return refuse("holds a NUL character");
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, terminated.c_str(),
                                      CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);
  if (code != CURLUE_OK) return refuse(fmt::format("is not valid: {}", curl_url_strerror(code)));
  Url out = take_apart(url);
  if (out.scheme != "http" && out.scheme != "https" && out.scheme != "file")
    return refuse("has a scheme that is not supported");
  if (out.scheme == "file" && !out.host.empty() && out.host != "localhost")
    return refuse("names a file on another host");
  if (out.scheme == "file" && out.path.find('\0') != std::string::npos)
    return refuse("holds a NUL character");
  return out;
}

Result<Url> follow_redirect(const Url& base, std::string_view location) {
  const CurlUrl url(curl_url());
  const std::string target(location);
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::source_redirect, fmt::format("fetching {}: the server redirects to {}, {}",
                                                   shown(base.text), shown(target), why));
  };
  CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, base.text.c_str(), 0);
  // Against a base that has been set, a relative reference is resolved; an absolute one replaces.
  if (code == CURLUE_OK)
    code = curl_url_set(url.get(), CURLUPART_URL, target.c_str(),
                        CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);
  if (code != CURLUE_OK) return refuse("which is not a valid URL");
  Url out = take_apart(url);
  if (out.scheme != "http" && out.scheme != "https")
    return refuse("and only http and https are followed");
  return out;
}

Result<std::string> with_query(const std::string& url,
                               const std::vector<std::pair<std::string, std::string>>& parameters) {
  const CurlUrl handle(curl_url());
  CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0);
  for (const auto& [name, value] : parameters) {
    const std::string parameter = name + "=" + value;
    if (code == CURLUE_OK)
      code = curl_url_set(handle.get(), CURLUPART_QUERY, parameter.c_str(),
                          CURLU_APPENDQUERY | CURLU_URLENCODE);
  }
  if (code != CURLUE_OK)
    return fail(Errc::usage_option,
                fmt::format("the URL {} is not valid: {}", shown(url), curl_url_strerror(code)));
  return part(handle, CURLUPART_URL);
}

bool same_origin(const Url& a, const Url& b) noexcept {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

bool is_https(std::string_view url) {
  const auto parsed = parse_url(url);
  return parsed && parsed->scheme == "https";
}

}  // namespace ingot::imaging
