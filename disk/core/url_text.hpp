/// URLs as text: shown without their secrets, and the name of the file that they lead to.
#pragma once

#include <string>
#include <string_view>

namespace ingot {

/// `url` without its credentials: userinfo becomes "***", and so does the value of every query
/// parameter (signed URLs carry secrets there). Text that is no URL comes back as it is.
std::string redacted(std::string_view url);

/// The last path component of `url`, percent-decoded, without query or fragment.
std::string url_file_name(std::string_view url);

}  // namespace ingot
