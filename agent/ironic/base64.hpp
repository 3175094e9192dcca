/// Base64 (RFC 4648, with padding, in one line), as JSON carries bytes.
#pragma once

#include <string>
#include <string_view>

namespace ingot::agent {

[[nodiscard]] std::string to_base64(std::string_view bytes);

}  // namespace ingot::agent
