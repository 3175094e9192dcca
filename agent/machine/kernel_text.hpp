/// Texts that the kernel or firmware shows as files: read with a limit, made fit for JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

/// `text` without what is no well-formed UTF-8 (RFC 3629), without control characters, and without
/// blanks at its ends. Line ends go as well: it is one line.
[[nodiscard]] std::string clean_text(std::string_view text);

/// The first `limit` bytes of a file as they are; "" where there is none, or it cannot be read.
/// Never waits: not for a FIFO either.
[[nodiscard]] std::string read_bytes(const std::filesystem::path& path, std::size_t limit);

/// An attribute of sysfs or the like, cleaned; at most a page.
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

/// A decimal number; nothing if the file holds anything else, or a negative one.
[[nodiscard]] std::optional<std::uint64_t> read_number(const std::filesystem::path& path);

/// Names in a folder, sorted; at most 65536. Nothing where there is none.
[[nodiscard]] std::vector<std::string> names_in(const std::filesystem::path& folder);

/// The name of what a link leads to ("driver" → "i40e"), or "".
[[nodiscard]] std::string link_name(const std::filesystem::path& path);

}  // namespace ingot::agent
