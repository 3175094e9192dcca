#include "imaging/http_head.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <span>

#include "disk/core/printable.hpp"

namespace ingot::imaging {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool equals(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}
bool starts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && equals(text.substr(0, prefix.size()), prefix);
}
std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Decimal digits and nothing else, at most 2^63 - 1 (what counters and libcurl can hold).
std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size() ||
      value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  return value;
}

std::optional<std::time_t> parse_date(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const std::time_t date = curl_getdate(text.c_str(), nullptr);
  if (date == -1) return std::nullopt;
  return date;
}

// A value that is sent back to the server must be one line of visible text.
bool can_be_sent(std::string_view value) {
  return !value.empty() && value.size() <= 1024 &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c != 0x7f; });
}

Error malformed(std::string_view field, std::string_view value) {
  return {Errc::source_protocol,
          fmt::format("the server's {} field is not understood: \"{}\"", field,
                      printable(std::as_bytes(std::span(value)), 80))};
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  value = trimmed(value);
  if (!starts_with(value, "bytes ")) return std::nullopt;
  value = trimmed(value.substr(6));
  const auto slash = value.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view bounds = value.substr(0, slash);
  const std::string_view total = value.substr(slash + 1);
  ContentRange out;
  if (total != "*") {
    out.total = parse_count(total);
    if (!out.total) return std::nullopt;
  }
  if (bounds == "*") return out.total ? std::optional(out) : std::nullopt;
  const auto dash = bounds.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_count(bounds.substr(0, dash));
  const auto last = parse_count(bounds.substr(dash + 1));
  if (!first || !last || *first > *last || (out.total && *last >= *out.total)) return std::nullopt;
  out.range = {*first, *last};
  return out;
}

Result<HttpHeadParser::Next> HttpHeadParser::line(std::string_view line) {
  if (complete_) return Next::complete;
  bytes_ += line.size();
  if (bytes_ > kMaxBytes)
    return fail(
        Errc::source_protocol,
        fmt::format("the server's answer has more than {} KiB of header", kMaxBytes / 1024));
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (starts_with(line, "HTTP/")) {
    head_ = {};
    date_.clear();
    const auto space = line.find(' ');
    const auto status =
        space == std::string_view::npos ? std::nullopt : parse_count(line.substr(space + 1, 3));
    if (!status || *status < 100 || *status > 599) return tl::unexpected(malformed("status", line));
    head_.status = static_cast<int>(*status);
    return Next::more;
  }
  if (!line.empty()) {
    const auto colon = line.find(':');
    const bool folded = line.front() == ' ' || line.front() == '\t';  // obsolete, RFC 9112, 5.2
    if (colon != std::string_view::npos && !folded)
      INGOT_TRY(field(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))));
    return Next::more;
  }
  if (head_.status < 200) return Next::more;  // interim
  INGOT_TRY(finish());
  complete_ = true;
  return Next::complete;
}

Result<void> HttpHeadParser::field(std::string_view name, std::string_view value) {
  if (equals(name, "content-length")) {
    const auto length = parse_count(value);
    if (!length) return tl::unexpected(malformed(name, value));
    // Two of them that differ: whom to believe decides about what the body is (RFC 9112, 6.3).
    if (head_.content_length && head_.content_length != length)
      return fail(Errc::source_protocol, "the server gives two different Content-Length fields");
    head_.content_length = length;
  } else if (equals(name, "content-range")) {
    head_.content_range = parse_content_range(value);
    if (!head_.content_range && head_.status == 206) return tl::unexpected(malformed(name, value));
  } else if (equals(name, "transfer-encoding")) {
    // Anything else is a coding of the bytes that nobody asked for (TE was not sent).
    if (!equals(value, "chunked")) return tl::unexpected(malformed(name, value));
    head_.chunked = true;
  } else if (equals(name, "content-encoding")) {
    if (!value.empty() && !equals(value, "identity"))
      head_.content_encoding = printable(std::as_bytes(std::span(value)), 40);
  } else if (equals(name, "content-type")) {
    head_.multipart_ranges = starts_with(value, "multipart/byteranges");
  } else if (equals(name, "accept-ranges")) {
    head_.ranges_offered = equals(value, "bytes");
    head_.ranges_denied = equals(value, "none");
  } else if (equals(name, "etag")) {
    head_.etag = value;
  } else if (equals(name, "last-modified")) {
    head_.last_modified = value;
  } else if (equals(name, "date")) {
    date_ = value;
  } else if (equals(name, "location")) {
    head_.location = value;
  } else if (equals(name, "www-authenticate")) {
    head_.challenges.emplace_back(value);
  } else if (equals(name, "retry-after")) {
    if (const auto seconds = parse_count(value); seconds && *seconds <= 86'400)
      head_.retry_after = std::chrono::seconds(*seconds);
    else if (const auto date = parse_date(std::string(value)))
      head_.retry_after =
          std::chrono::seconds(std::clamp<std::int64_t>(*date - std::time(nullptr), 0, 86'400));
  }
  return {};
}

Result<void> HttpHeadParser::finish() {
  if (head_.chunked) head_.content_length.reset();  // RFC 9112, 6.3: chunked overrides it
  const bool strong = head_.etag.size() >= 2 && head_.etag.front() == '"' &&
                      head_.etag.back() == '"' && can_be_sent(head_.etag);
  if (strong) {
    head_.range_validator = head_.etag;
    return {};
  }
  const auto modified = parse_date(head_.last_modified);
  const auto date = parse_date(date_);
  if (modified && date && *date - *modified >= 1 && can_be_sent(head_.last_modified))
    head_.range_validator = head_.last_modified;
  return {};
}

}  // namespace ingot::imaging
