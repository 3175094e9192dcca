/// Texts of boot entries: UTF-16 on the disk and in the firmware, UTF-8 here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ingot::disk {

/// UTF-16 as CSV files have it: little-endian unless a byte order mark says otherwise; the mark is
/// no part of the text. What is no character of Unicode's first plane becomes U+FFFD, which
/// fits_entry() refuses. Only the first `limit` bytes are looked at.
[[nodiscard]] std::string utf8_of_utf16(std::string_view bytes, std::size_t limit);

/// Whether UTF-8 `text` can stand in an entry and be shown: well-formed, no control characters (in
/// the wide sense: also none that turn the direction of writing), all in Unicode's first plane,
/// since firmware knows UCS-2 only.
[[nodiscard]] bool fits_entry(std::string_view text);

/// At most `limit` characters of UTF-8 `text`.
[[nodiscard]] std::string first_characters(std::string_view text, std::size_t limit);

/// What a program said, as part of a message: one line, printable, short.
[[nodiscard]] std::string shown(std::string_view said);

/// Whether two texts are the same but for the case of ASCII letters.
[[nodiscard]] bool same_name(std::string_view one, std::string_view other);

}  // namespace ingot::disk
