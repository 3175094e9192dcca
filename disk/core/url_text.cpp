#include "disk/core/url_text.hpp"

#include <algorithm>
#include <initializer_list>
#include <optional>

namespace ingot {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
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

bool has_scheme(std::string_view url, std::initializer_list<std::string_view> schemes) noexcept {
  const auto end = url.find("://");
  if (end == std::string_view::npos) return false;
  const std::string_view scheme = url.substr(0, end);
  return std::ranges::any_of(schemes, [scheme](std::string_view one) {
    return std::ranges::equal(one, scheme, {}, {}, lower);
  });
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

bool is_image_reference(std::string_view url) noexcept {
  return has_scheme(url, {"oci", "docker", "oci+http", "docker+http"});
}

bool any_image_reference(std::span<const std::string> urls) noexcept {
  return std::ranges::any_of(urls, is_image_reference);
}

bool is_image_url(std::string_view url) noexcept {
  return has_scheme(url, {"http", "https", "file"}) || is_image_reference(url);
}

std::string url_path(std::string_view url) {
  const auto start = authority_start(url);
  if (!start) return std::string(url);
  std::string_view path = url.substr(userinfo_end(url, *start));
  path = path.substr(0, path.find_first_of("?#"));
  path = path.substr(std::min(path.find('/'), path.size()));
  std::string decoded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%' && path.size() - i > 2) {
      const auto high = hex_digit(path[i + 1]);
      const auto low = hex_digit(path[i + 2]);
      if (high && low) {
        decoded += static_cast<char>(*high * 16 + *low);
        i += 2;
        continue;
      }
    }
    decoded += path[i];
  }
  return decoded;
}

}  // namespace ingot
