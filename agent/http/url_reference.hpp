/// URLs taken apart and put together as libcurl does it when it fetches.
#pragma once

#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// `reference` ("/v1/events", "events?x=1", "//other/x", "https://…") as it is meant from `base`,
/// an absolute URL, whose query and fragment it does not keep (RFC 3986 section 5). Errors:
/// usage.option, with both redacted, where the outcome is no http or https URL with a host.
///
/// Not with Boost.URL: 1.81 takes the beginning of "10.0.0.1.example" for the whole host, and what
/// is meant for one server would go to another.
Result<std::string> resolve_reference(const std::string& base, const std::string& reference);

/// Whether two http or https URLs have the same scheme, host and port: what is for the one server
/// may be shown to the other.
[[nodiscard]] bool same_origin(const std::string& one, const std::string& other);

/// An http or https URL, taken apart.
struct UrlParts {
  std::string scheme;  ///< "http", "https"
  std::string host;    ///< a name in small letters, or an IP address without brackets
  std::string port;    ///< a number, the scheme's where the URL names none
  std::string path;    ///< "/" at least
  bool has_user = false;
  bool has_query_or_fragment = false;
};
/// Errors: usage.option, with `url` redacted, where it has no host.
Result<UrlParts> url_parts(const std::string& url);

/// `text` as it may stand in a path or a query: all but letters, digits and "-._~" percent-encoded.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace ingot::agent
