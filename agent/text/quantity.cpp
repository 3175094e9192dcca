#include "agent/text/quantity.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

// The number at the start of `text` and what follows it.
std::optional<std::pair<std::uint64_t, std::string_view>> split_number(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest == text.data()) return std::nullopt;
  return std::pair{number, std::string_view(rest, static_cast<std::size_t>(end - rest))};
}

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

std::optional<std::uint64_t> size_unit(std::string_view suffix) {
  if (suffix.empty()) return 1;
  const char letter = upper(suffix.front());
  if (letter == 'B') return suffix.size() == 1 ? std::optional<std::uint64_t>(1) : std::nullopt;
  const auto tail = suffix.substr(1);
  if (!tail.empty() && tail != "iB" && tail != "ib" && tail != "B" && tail != "b")
    return std::nullopt;
  switch (letter) {
    case 'K':
      return KiB;
    case 'M':
      return MiB;
    case 'G':
      return GiB;
    case 'T':
      return 1024 * GiB;
    default:
      return std::nullopt;
  }
}

std::optional<std::uint64_t> milliseconds_of(std::string_view unit) {
  if (unit.empty() || unit == "s") return 1000;
  if (unit == "ms") return 1;
  if (unit == "m" || unit == "min") return 60'000;
  if (unit == "h") return 3'600'000;
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text, std::string_view option) {
  if (const auto split = split_number(text)) {
    if (const auto unit = size_unit(split->second))
      if (const auto bytes = checked_mul(split->first, *unit)) return *bytes;
  }
  return fail(Errc::usage_option, fmt::format("{}: '{}' is not a size", option, text),
              "write bytes, or a number with K, M, G or T, for example 64M or 20G");
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text, std::string_view option) {
  constexpr std::uint64_t kWeek = 7ULL * 24 * 3'600'000;
  if (const auto split = split_number(text)) {
    if (const auto unit = milliseconds_of(split->second))
      if (const auto all = checked_mul(split->first, *unit); all && *all > 0 && *all <= kWeek)
        return std::chrono::milliseconds(*all);
  }
  return fail(Errc::usage_option, fmt::format("{}: '{}' is not a time", option, text),
              "write seconds, or a number with ms, s, m or h, for example 30s or 10m; at most a "
              "week");
}

std::string format_duration(std::chrono::milliseconds duration) {
  const auto seconds = (duration.count() + 500) / 1000;
  if (duration.count() < 9950)
    return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{}:{:02} min", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02} h", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace ingot::agent
