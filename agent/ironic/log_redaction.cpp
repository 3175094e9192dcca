#include "agent/ironic/log_redaction.hpp"

#include <algorithm>
#include <array>

#include "agent/job/secrets.hpp"

namespace ingot::agent {
namespace {

// Longer words of base64 are config drives, keys and the like; no checksum is as long.
constexpr std::size_t kLongestShown = 255;
// Lines of wrapped base64 are not shorter, but for the last.
constexpr std::size_t kShortestLine = 60;

struct Range {
  std::size_t begin, end;
};
using Ranges = std::vector<Range>;

bool is_base64(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/' || c == '=';
}

void find_secrets(std::string_view text, const std::vector<std::string>& secrets, Ranges& found) {
  for (const auto& secret : secrets) {
    if (secret.size() < kShortestSecret) continue;
    // One step on, not one secret: it may overlap itself.
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string_view::npos; ++at)
      found.push_back({at, at + secret.size()});
  }
}

// agent_token=x, "agent_token": "x", \"agent_token\": \"x\", ipa-agent-token=x.
void find_tokens(std::string_view text, Ranges& found) {
  constexpr std::string_view kQuotes = "\\\"' ";
  for (const std::string_view key : {"agent_token", "agent-token"})
    for (std::size_t at = 0; (at = text.find(key, at)) != std::string_view::npos;) {
      at += key.size();
      const auto sign = text.find_first_not_of(kQuotes, at);
      if (sign == std::string_view::npos || (text[sign] != '=' && text[sign] != ':')) continue;
      const auto value = text.find_first_not_of(kQuotes, sign + 1);
      if (value == std::string_view::npos) continue;
      const auto end = std::min(text.find_first_of("\\\"'&,;<>}) \t\r\n", value), text.size());
      if (end > value) found.push_back({value, end});
    }
}

// The end of a line break at `at`, written out ("\n") or not, with the next line's indentation;
// `at` itself if there is none.
std::size_t after_line_break(std::string_view text, std::size_t at) {
  std::size_t end = at;
  if (text.substr(end).starts_with('\r')) ++end;
  if (text.substr(end).starts_with('\n'))
    ++end;
  else if (text.substr(end).starts_with("\\n"))
    end += 2;
  else
    return at;
  return std::min(text.find_first_not_of(" \t", end), text.size());
}

void find_base64(std::string_view text, Ranges& found) {
  for (std::size_t at = 0; at < text.size();) {
    if (!is_base64(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    std::size_t characters = 0, end = at;
    for (;;) {
      std::size_t line = 0;
      while (at < text.size() && is_base64(text[at])) ++at, ++line;
      characters += line;
      end = at;
      const std::size_t next = line < kShortestLine ? at : after_line_break(text, at);
      if (next == at || next == text.size() || !is_base64(text[next])) break;
      at = next;
    }
    if (characters > kLongestShown) found.push_back({begin, end});
  }
}

}  // namespace

std::string redact_log(std::string_view text, const std::vector<std::string>& secrets) {
  Ranges found;
  find_secrets(text, secrets, found);
  find_tokens(text, found);
  find_base64(text, found);
  std::sort(found.begin(), found.end(), [](auto a, auto b) { return a.begin < b.begin; });
  std::string out;
  std::size_t at = 0;
  for (auto next = found.begin(); next != found.end();) {
    Range hidden = *next;
    for (; next != found.end() && next->begin <= hidden.end; ++next)
      hidden.end = std::max(hidden.end, next->end);
    out += text.substr(at, hidden.begin - at);
    out += "***";
    at = hidden.end;
  }
  out += text.substr(at);
  return out.find("://") == std::string::npos ? out : redact_text(out);
}

}  // namespace ingot::agent
