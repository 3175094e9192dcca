#include "agent/ironic/log_redaction.hpp"

#include <algorithm>
#include <array>

#include "agent/process/secrets.hpp"

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
    // One step on, not one secret: it may overlap itself. Then it is one range.
    Range last{0, 0};
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string_view::npos; ++at) {
      if (at > last.end && last.end > 0) found.push_back(last);
      last = {at <= last.end && last.end > 0 ? last.begin : at, at + secret.size()};
    }
    if (last.end > 0) found.push_back(last);
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

std::size_t end_of_run(std::string_view text, std::size_t at) {
  while (at < text.size() && is_base64(text[at])) ++at;
  return at;
}

// Whether a run on a line of its own goes on with base64 that was begun on the line before: a short
// one only if it is all of its line, up to a quote. (The next line of a log starts with a word.)
bool goes_on(std::string_view text, std::size_t begin, std::size_t end) {
  return end - begin >= kShortestLine ||
         (end > begin && (end == text.size() ||
                          std::string_view("\r\n\\\"'").find(text[end]) != std::string_view::npos));
}

void find_base64(std::string_view text, Ranges& found) {
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = end_of_run(text, begin);
    std::size_t characters = end - begin;
    for (std::size_t line = characters; line >= kShortestLine;) {
      const std::size_t next = after_line_break(text, end);
      const std::size_t next_end = end_of_run(text, next);
      if (next == end || !goes_on(text, next, next_end)) break;
      line = next_end - next;
      characters += line;
      end = next_end;
    }
    if (characters > kLongestShown) found.push_back({begin, end});
    begin = end + 1;
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
