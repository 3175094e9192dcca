#include "imaging/registry/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "disk/core/lower_case.hpp"
#include "disk/core/printable.hpp"
#include "disk/core/url_text.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kMaxName = 255, kMaxTag = 128, kMaxShown = 300;
constexpr std::string_view kDockerHub = "registry-1.docker.io";

bool is_lower_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alnum(char c) noexcept {
  return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

// Words of small letters and digits between the separators ".", "_", "__" and "-…".
bool is_component(std::string_view text) noexcept {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (std::size_t i = 0; i < text.size();) {
    if (is_lower_alnum(text[i])) {
      ++i;
      continue;
    }
    const auto end = std::min(text.find_first_not_of("._-", i), text.size());
    const std::string_view separator = text.substr(i, end - i);
    if (separator.empty()) return false;
    const bool good = separator == "." || separator == "_" || separator == "__" ||
                      separator.find_first_not_of('-') == std::string_view::npos;
    if (!good) return false;
    i = end;
  }
  return true;
}

bool is_repository(std::string_view text) noexcept {
  if (text.size() > kMaxName) return false;
  for (;;) {
    const auto slash = text.find('/');
    if (!is_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_tag(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxTag && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(
             text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

// As Docker reads its short names: what has neither dot nor port is no host.
bool looks_like_host(std::string_view text) noexcept {
  const auto at = text.rfind('@');
  const std::string_view host = at == std::string_view::npos ? text : text.substr(at + 1);
  return host.find_first_of(".:") != std::string_view::npos || host == "localhost";
}

}  // namespace

Result<ImageReference> parse_image_reference(std::string_view url) {
  const auto refuse = [&](std::string_view why) {
    const std::string safe = redacted(url);
    return fail(Errc::usage_option,
                fmt::format("the image reference {} {}",
                            printable(std::as_bytes(std::span(safe)), kMaxShown), why),
                "write oci://HOST[:PORT]/NAME:TAG or oci://HOST[:PORT]/NAME@sha256:HEX, e.g. "
                "oci://registry.example/images/debian:12");
  };
  if (!is_image_reference(url)) return refuse("has another scheme than oci and docker");
  const std::string scheme = lower_case(url.substr(0, url.find("://")));
  const bool docker = scheme.starts_with("docker");
  std::string_view rest = url.substr(scheme.size() + 3);
  std::string_view authority;
  const auto slash = rest.find('/');
  const bool short_name =
      docker && (slash == std::string_view::npos || !looks_like_host(rest.substr(0, slash)));
  if (!short_name) {
    if (slash == std::string_view::npos) return refuse("names no image");
    authority = rest.substr(0, slash);
    rest.remove_prefix(slash + 1);
    if (authority.empty()) return refuse("names no registry");
  }

  ImageReference out;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    const std::string_view value = rest.substr(at + 1);
    const auto digest = parse_checksum(value, std::nullopt);
    if (!digest || digest->type == DigestType::md5 ||
        value != fmt::format("{}:{}", name(digest->type), digest->hex))
      return refuse("has a digest that is neither sha256:HEX nor sha512:HEX, in small letters");
    out.digest = *digest;
    rest = rest.substr(0, at);
  }
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos) {
    out.tag = rest.substr(colon + 1);
    if (!is_tag(out.tag)) return refuse("has a malformed tag");
    rest = rest.substr(0, colon);
  }
  out.repository = rest;
  const bool hub = short_name || (docker && authority == "docker.io");
  if (hub && out.repository.find('/') == std::string::npos) out.repository.insert(0, "library/");
  if (!is_repository(out.repository))
    return refuse("has a malformed name: small letters and digits, separated by . _ - and /");
  if (out.digest)
    out.tag.clear();
  else if (out.tag.empty())
    out.tag = "latest";

  out.base = fmt::format("{}://{}", scheme.ends_with("+http") ? "http" : "https",
                         hub ? kDockerHub : authority);
  const auto parsed = parse_url(out.base);
  if (!parsed) return refuse("names a registry that is no host with an optional port");
  if (parsed->host.empty() || authority.find_first_of("?#\\ ") != std::string_view::npos)
    return refuse("names a registry that is no host with an optional port");
  return out;
}

}  // namespace ingot::imaging
