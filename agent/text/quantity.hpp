/// Quantities as people write them on a command line: sizes and durations.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// "1073741824", "1024K", "10G", "2T", "512MiB": a whole number of bytes with an optional binary
/// suffix K, M, G or T (upper or lower case, "iB" or "B" may follow). Errors: usage.option, naming
/// `option`.
Result<std::uint64_t> parse_size(std::string_view text, std::string_view option);

/// "30", "30s", "500ms", "5m", "1h": a whole number with an optional unit, seconds when there is
/// none; more than nothing and at most a week. Errors: usage.option, naming `option`.
Result<std::chrono::milliseconds> parse_duration(std::string_view text, std::string_view option);

/// "42 s", "3:07 min", "2:01:30 h": for people.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace ingot::agent
