#include "disk/menu/version_order.hpp"

#include <algorithm>
#include <cstddef>

namespace ingot::disk {
namespace {

// By ASCII alone: letters and digits of other scripts are separators.
bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool separator(char c) {
  return !digit(c) && !letter(c) && c != '-' && c != '.' && c != '~' && c != '^';
}

template <class Belongs>
std::string_view take(std::string_view& rest, Belongs belongs) {
  const auto end =
      static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), belongs) - rest.begin());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(end);
  return taken;
}

// Digits of any length, so that no number is too large.
std::weak_ordering compare_numbers(std::string_view one, std::string_view other) {
  const auto zero = [](char c) { return c == '0'; };
  take(one, zero);
  take(other, zero);
  if (one.size() != other.size()) return one.size() <=> other.size();
  return one.compare(other) <=> 0;
}

// What begins with the mark is less than what does not; where both do, it is skipped.
std::weak_ordering skip_mark(char mark, std::string_view& one, std::string_view& other) {
  const bool here = one.starts_with(mark);
  if (here != other.starts_with(mark))
    return here ? std::weak_ordering::less : std::weak_ordering::greater;
  if (here) {
    one.remove_prefix(1);
    other.remove_prefix(1);
  }
  return std::weak_ordering::equivalent;
}

}  // namespace

std::weak_ordering compare_versions(std::string_view one, std::string_view other) {
  for (;;) {
    take(one, separator);
    take(other, separator);
    // A tilde sorts below even the end of the other version.
    if (const auto order = skip_mark('~', one, other); std::is_neq(order)) return order;
    if (one.empty() || other.empty()) return one.size() <=> other.size();
    for (const char mark : {'-', '^', '.'})
      if (const auto order = skip_mark(mark, one, other); std::is_neq(order)) return order;
    const auto number = [](std::string_view rest) { return !rest.empty() && digit(rest.front()); };
    if (number(one) || number(other)) {
      if (const auto order = compare_numbers(take(one, digit), take(other, digit));
          std::is_neq(order))
        return order;
      continue;
    }
    const std::string_view left = take(one, letter);
    const std::string_view right = take(other, letter);
    if (const int order = left.compare(right); order != 0) return order <=> 0;
  }
}

}  // namespace ingot::disk
