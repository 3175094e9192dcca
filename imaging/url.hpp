/// Url: an address of an image taken apart, with its credentials kept out of its text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::imaging {

/// An absolute http, https or file URL. Holds secrets in `user` and `password`, and its query may
/// be one: messages show `redacted(text)`.
struct Url {
  std::string scheme;          ///< "http", "https" or "file"
  std::string host;            ///< lower case; "[…]" for IPv6; empty for file
  std::string port;            ///< digits, the scheme's default filled in; empty for file
  std::string path;            ///< percent-decoded; only of a file URL
  std::string user, password;  ///< percent-decoded userinfo, empty when there was none
  std::string text;            ///< what to send: normalised, without userinfo and fragment
};

/// Takes `text` apart (RFC 3986, as libcurl understands it).
/// Errors: usage.option for anything but a good http, https or file URL.
Result<Url> parse_url(std::string_view text);

/// The address that a redirect from `base` to `location` (absolute or relative) leads to.
/// Errors: source.redirect for a malformed one, and for another scheme than http and https.
Result<Url> follow_redirect(const Url& base, std::string_view location);

/// `url` with these parameters added to its query, percent-encoded. Errors: usage.option.
Result<std::string> with_query(const std::string& url,
                               const std::vector<std::pair<std::string, std::string>>& parameters);

/// Same scheme, host and port: credentials given for one may be sent to the other.
bool same_origin(const Url& a, const Url& b) noexcept;

}  // namespace ingot::imaging
