#include "agent/reference/words.hpp"

#include <algorithm>

namespace ingot::agent {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n';
    if (!blank)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string first_clause(std::string_view text) {
  std::string line = one_line(text);
  if (line.starts_with('(')) return line;
  std::size_t end = line.size();
  for (const std::string_view stop : {". ", ": ", "; ", " ("}) end = std::min(end, line.find(stop));
  line.resize(end);
  if (!line.empty() && line.back() == '.') line.pop_back();
  return line;
}

std::string escaped(std::string_view text, std::string_view special, char escape) {
  std::string result;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) result += escape;
    result += c;
  }
  return result;
}

}  // namespace ingot::agent
