/// Base64 (RFC 4648, with padding, in one line), as JSON carries bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ingot::agent {

[[nodiscard]] std::string to_base64(std::string_view bytes);

/// The bytes that `text` stands for; nothing if it is empty, no base64, or more than 64 KiB.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace ingot::agent
