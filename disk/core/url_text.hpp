/// URLs as text: shown without their secrets, and their paths.
#pragma once

#include <string>
#include <string_view>

namespace ingot {

/// `url` without its credentials: userinfo becomes "***", and so does the value of every query
/// parameter (signed URLs carry secrets there). Text that is no URL comes back as it is.
std::string redacted(std::string_view url);

/// The path of `url`, percent-decoded, without query or fragment; text that is no URL as it is.
std::string url_path(std::string_view url);

}  // namespace ingot
