#include "imaging/url.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include "imaging/printable.hpp"
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

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return lower(c); });
  return text;
}

// The URL's parts; clears userinfo and fragment in `url` on the way.
Url take_apart(const CurlUrl& url) {
  Url out;
  out.scheme = lower(part(url, CURLUPART_SCHEME));
  out.user = part(url, CURLUPART_USER, CURLU_URLDECODE);
  out.password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
  if (out.scheme == "file") {
    out.host = lower(part(url, CURLUPART_HOST));
    out.path = part(url, CURLUPART_PATH, CURLU_URLDECODE);
  } else {
    out.host = lower(part(url, CURLUPART_HOST));
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

std::optional<unsigned> hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char l = lower(c);
  if (l >= 'a' && l <= 'f') return static_cast<unsigned>(l - 'a') + 10;
  return std::nullopt;
}

// Where the scheme ends ("http://" gives 7), or nothing when `text` is no URL.
std::optional<std::size_t> authority_start(std::string_view text) noexcept {
  const auto colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  for (const char c : text.substr(0, colon)) {
    const char l = lower(c);
    if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.')
      return std::nullopt;
  }
  return colon + 3;
}

// Where the userinfo ends (the place after its '@'), or `from` when there is none. A password with
// an unescaped '/', '?' or '#' makes the URL invalid, but such URLs end up in messages too: then
// what stands where the port belongs is no number, and everything up to the last '@' goes.
std::size_t userinfo_end(std::string_view text, std::size_t from) noexcept {
  const auto end = std::min(text.find_first_of("/?#", from), text.size());
  const std::string_view authority = text.substr(from, end - from);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) return from + at + 1;
  const auto colon = authority.rfind(':');
  const auto last = text.rfind('@');
  const bool has_port =
      colon == std::string_view::npos || authority.ends_with(']') ||
      authority.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  return has_port || last == std::string_view::npos || last < end ? from : last + 1;
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

bool same_origin(const Url& a, const Url& b) noexcept {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

bool is_https(std::string_view url) {
  const auto parsed = parse_url(url);
  return parsed && parsed->scheme == "https";
}

std::string redacted(std::string_view url) {
  const auto start = authority_start(url);
  if (!start) return std::string(url);
  const std::size_t host = userinfo_end(url, *start);
  std::string out(url.substr(0, *start));
  if (host > *start) out += "***@";
  const auto query = std::min(url.find_first_of("?#", host), url.size());
  out += url.substr(host, query - host);
  if (query == url.size()) return out;
  // Names of parameters stay, so that one can tell which URL it was; a value without a name is
  // hidden too, and so is a fragment.
  const auto fragment = std::min(url.find('#', query), url.size());
  std::string_view rest = url.substr(query, fragment - query);
  while (!rest.empty()) {
    out += rest.front();  // '?' or '&'
    rest.remove_prefix(1);
    const std::string_view pair = rest.substr(0, std::min(rest.find('&'), rest.size()));
    rest.remove_prefix(pair.size());
    if (const auto equals = pair.find('='); equals != std::string_view::npos)
      out += pair.substr(0, equals + 1);
    if (!pair.empty()) out += "***";
  }
  if (fragment < url.size()) out += "#***";
  return out;
}

std::string url_file_name(std::string_view url) {
  const auto start = authority_start(url);
  std::string_view path = url;
  if (start) {
    path = path.substr(userinfo_end(url, *start));
    path = path.substr(0, path.find_first_of("?#"));
    const auto slash = path.find('/');
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  }
  path = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  if (!start) return std::string(path);
  std::string name;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%' && path.size() - i > 2) {
      const auto high = hex_digit(path[i + 1]);
      const auto low = hex_digit(path[i + 2]);
      if (high && low) {
        name += static_cast<char>(*high * 16 + *low);
        i += 2;
        continue;
      }
    }
    name += path[i];
  }
  return name;
}

}  // namespace ingot::imaging
