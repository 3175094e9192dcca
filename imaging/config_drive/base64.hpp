/// Base64 text (RFC 4648, section 4) into bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "imaging/config_drive/secret_bytes.hpp"

namespace ingot::imaging {

/// The bytes that `text` stands for, or nothing when it is no base64 text: a foreign character
/// (space, tab, CR and LF are allowed anywhere), wrong padding, a lone last character, bits left
/// over that are not zero. Padding may be missing.
std::optional<SecretBytes> decode_base64(std::span<const std::byte> text);

}  // namespace ingot::imaging
