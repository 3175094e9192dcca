/// Attribute: small texts from sysfs and udev. They come from devices, and nobody vouches for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ingot::disk {

/// Without control characters, without bytes that are no UTF-8, and without blanks around it.
[[nodiscard]] std::string clean_text(std::string_view text);

/// udev's *_ENC properties hold "\x20" for a blank: the text without such escapes, not yet clean.
[[nodiscard]] std::string decode_escapes(std::string_view text);

/// Each run of white space as one blank, as lsblk shows udev's texts.
[[nodiscard]] std::string collapse_blanks(std::string_view text);

/// A sysfs attribute, cleaned: at most its first 4096 bytes, which is a page. "" where there is
/// none or it cannot be read.
[[nodiscard]] std::string read_attribute(const std::filesystem::path& path);

/// A decimal number, or nothing if the attribute is missing, is none, or passes 2^64.
[[nodiscard]] std::optional<std::uint64_t> read_number(const std::filesystem::path& path);

/// Whether the attribute is the number 1.
[[nodiscard]] bool read_flag(const std::filesystem::path& path);

}  // namespace ingot::disk
