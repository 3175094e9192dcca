/// HttpHead: what a response's status line and header fields say about the body, judged strictly.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::imaging {

/// "bytes first-last/total" (RFC 9110, 14.4). `range` is absent in "bytes */total", the answer to
/// a range that cannot be had; `total` is absent where the server says '*'.
struct ContentRange {
  struct Bounds {
    std::uint64_t first = 0, last = 0;  ///< byte positions, both inclusive
  };
  std::optional<Bounds> range;
  std::optional<std::uint64_t> total;  ///< bytes
};

/// Reads the value of a Content-Range field; nothing when it is malformed or contradicts itself.
std::optional<ContentRange> parse_content_range(std::string_view value);

struct HttpHead {
  int status = 0;
  std::optional<std::uint64_t> content_length;  ///< absent for chunked bodies, whatever was said
  std::optional<ContentRange> content_range;
  bool chunked = false;
  bool ranges_offered = false;          ///< Accept-Ranges: bytes
  bool ranges_denied = false;           ///< Accept-Ranges: none
  bool multipart_ranges = false;        ///< Content-Type: multipart/byteranges
  std::string content_encoding;         ///< empty, or what the body is encoded with
  std::string etag;                     ///< as sent, W/ included
  std::string last_modified;            ///< as sent
  std::string location;                 ///< as sent
  std::vector<std::string> challenges;  ///< WWW-Authenticate fields, as sent
  std::optional<std::chrono::seconds> retry_after;
  /// What may stand in If-Range for this answer: a strong ETag, else a Last-Modified that is strong
  /// by RFC 9110, 8.8.2.2 (at least a second older than Date). Empty when there is neither.
  std::string range_validator;
};

/// Takes header lines as they arrive, and ends with a head. Interim answers (1xx) are passed over.
class HttpHeadParser {
 public:
  enum class Next { more, complete };
  /// One line with or without its line end; the empty one ends a head. Once complete, only lines of
  /// trailers follow, which are ignored.
  /// Errors: source.protocol for contradicting or malformed fields that decide about the body, and
  /// for more than kMaxBytes of header.
  Result<Next> line(std::string_view line);
  [[nodiscard]] const HttpHead& head() const noexcept { return head_; }
  [[nodiscard]] bool complete() const noexcept { return complete_; }

  static constexpr std::size_t kMaxBytes = 128 * 1024;

 private:
  Result<void> field(std::string_view name, std::string_view value);
  Result<void> finish();

  HttpHead head_;
  std::string date_;
  std::size_t bytes_ = 0;
  bool complete_ = false;
};

}  // namespace ingot::imaging
