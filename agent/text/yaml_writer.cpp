// Sources: YAML 1.1 (bool, null and the other types of its repository), YAML 1.2.2 (8.1.1 block
// scalar headers, 10.3 core schema), RFC 8259.
#include "agent/text/yaml_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kLongestSimpleKey = 1000;  // YAML's limit is 1024 characters

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A string that no reader takes for anything else, and that is easier to read without quotes.
bool needs_no_quotes(std::string_view text) {
  constexpr std::string_view kHarmless = "0123456789_-./@+ ";
  if (text.empty() || text.size() > 200) return false;
  if (!is_letter(text.front()) && text.front() != '/') return false;
  if (text.back() == ' ' || text.back() == ':') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool colon = text[i] == ':' && text[i + 1] != ' ';
    if (!is_letter(text[i]) && !colon && kHarmless.find(text[i]) == std::string_view::npos)
      return false;
  }
  static constexpr std::array kWords = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
  const std::string word = lower_case(text);
  return std::ranges::none_of(kWords, [&](const char* other) { return word == other; });
}

// A plain scalar that may be written as it was read: what yaml-cpp unfolded from several lines, or
// took from inside brackets, might not be one in block style.
bool stays_plain(std::string_view text) {
  constexpr std::string_view kIndicators = "[]{},#&*!|>'\"%@`";
  if (text.empty() || text.size() > kLongestSimpleKey) return false;
  if (kIndicators.find(text.front()) != std::string_view::npos) return false;
  if ((text.front() == '-' || text.front() == '?' || text.front() == ':') &&
      (text.size() == 1 || text[1] == ' '))
    return false;
  if (text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos)
    return false;
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

// The code point at `at` of valid UTF-8; `at` moves behind it.
std::uint32_t next_code(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  if (first < 0x80) return first;
  const int more = first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : 3;
  std::uint32_t code = first & (0x3FU >> more);
  for (int i = 0; i < more && at < text.size(); ++i)
    code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3FU);
  return code;
}

// What may stand in a YAML stream as it is, and is no line end of YAML 1.1's.
bool is_printable(std::uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return code == '\t';
  return code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE && code != 0xFFFF;
}

// Whether a literal block gives every reader exactly `text`.
bool fits_literal(std::string_view text) {
  const std::size_t last = text.find_last_not_of('\n');
  if (last == std::string_view::npos || text.find('\n') == std::string_view::npos) return false;
  // Readers do not agree about blanks at either end.
  const std::size_t first = text.find_first_not_of('\n');
  if (text[first] == '\t' || text[last] == ' ' || text[last] == '\t') return false;
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t code = next_code(text, at);
    if (code != '\n' && !is_printable(code)) return false;
  }
  const std::size_t line_end = text.find('\n', first);
  const std::string_view first_line = text.substr(first, line_end - first);
  return first_line.find_first_not_of(' ') != std::string_view::npos;
}

std::string literal(std::string_view text, std::size_t indent) {
  std::string out = "|";
  if (text.front() == ' ' || text.front() == '\n') out += '2';
  if (text.back() != '\n') out += '-';
  if (text.ends_with("\n\n")) out += '+';
  out += '\n';
  const std::string blanks(indent, ' ');
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (!line.empty()) out += blanks;
    out += line;
    out += '\n';
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

class YamlText {
 public:
  std::string text;

  void write(const YamlNode& node, std::size_t indent) {
    switch (node.kind) {
      case YamlNode::Kind::map:
        for (const auto& member : node.members) {
          text.append(indent, ' ');
          write_member(member, indent);
        }
        break;
      case YamlNode::Kind::sequence:
        for (const auto& item : node.items) {
          text.append(indent, ' ');
          write_item(item, indent);
        }
        break;
      default:  // the whole document, which has no indentation for a literal
        text += node.plain ? scalar(node, indent) : tag_of(node) + quoted(node.text);
        text += '\n';
    }
  }

 private:
  static bool is_block(const YamlNode& node) {
    return !node.members.empty() || !node.items.empty();
  }

  static std::string tag_of(const YamlNode& node) {
    return node.tag.empty() ? "" : "!<" + node.tag + "> ";
  }

  // Of anything that is no block; without a line end unless it is a literal.
  static std::string scalar(const YamlNode& node, std::size_t indent) {
    if (node.kind == YamlNode::Kind::map) return tag_of(node) + "{}";
    if (node.kind == YamlNode::Kind::sequence) return tag_of(node) + "[]";
    if (node.kind == YamlNode::Kind::null) return "null";
    if (node.plain && stays_plain(node.text)) return node.text;
    const std::string value = utf8(node.text);
    if (!node.tag.empty()) return tag_of(node) + quoted(value);
    if (fits_literal(value)) return literal(value, indent);
    return needs_no_quotes(value) ? value : quoted(value);
  }

  void write_value(const YamlNode& value, std::size_t indent) {
    std::string line = scalar(value, indent);
    if (!line.ends_with('\n')) line += '\n';
    text += line;
  }

  void write_member(const YamlMember& member, std::size_t indent) {
    const std::string name = utf8(member.name);
    const bool as_it_is = member.value.plain_key ? stays_plain(name) : needs_no_quotes(name);
    const std::string key = as_it_is ? name : quoted(name);
    if (key.size() > kLongestSimpleKey) {
      text += "? " + key + '\n';
      text.append(indent, ' ');
    } else {
      text += key;
    }
    text += ':';
    if (is_block(member.value)) {
      text += member.value.tag.empty() ? "\n" : " !<" + member.value.tag + ">\n";
      write(member.value, indent + 2);
    } else {
      text += ' ';
      write_value(member.value, indent + 2);
    }
  }

  void write_item(const YamlNode& item, std::size_t indent) {
    text += "- ";
    if (!is_block(item)) return write_value(item, indent + 2);
    if (!item.tag.empty()) {
      text += "!<" + item.tag + ">\n";
      return write(item, indent + 2);
    }
    // The first line of the block stands behind the dash.
    const std::size_t at = text.size();
    write(item, indent + 2);
    text.erase(at, indent + 2);
  }
};

bool is_json_number(std::string_view text) {
  const auto digits = [&text] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

class JsonText {
 public:
  explicit JsonText(JsonForm form) : lines_(form == JsonForm::lines) {}
  std::string text;

  void write(const YamlNode& node, std::size_t level) {
    switch (node.kind) {
      case YamlNode::Kind::null:
        text += "null";
        break;
      case YamlNode::Kind::scalar:
        text += scalar(node);
        break;
      case YamlNode::Kind::sequence:
        text += '[';
        for (const auto& item : node.items) {
          next(&item == node.items.data(), level + 1);
          write(item, level + 1);
        }
        end(node.items.empty(), level);
        text += ']';
        break;
      case YamlNode::Kind::map:
        text += '{';
        for (const auto& member : node.members) {
          next(&member == node.members.data(), level + 1);
          text += quoted(member.name) + (lines_ ? ": " : ":");
          write(member.value, level + 1);
        }
        end(node.members.empty(), level);
        text += '}';
        break;
    }
  }

 private:
  static std::string scalar(const YamlNode& node) {
    if (node.string || !node.tag.empty()) return quoted(node.text);
    if (std::string word = lower_case(node.text); word == "true" || word == "false") return word;
    return is_json_number(node.text) ? node.text : quoted(node.text);
  }

  void next(bool first, std::size_t level) {
    if (!first) text += ',';
    if (lines_) text.append(1, '\n').append(2 * level, ' ');
  }
  void end(bool empty, std::size_t level) {
    if (lines_ && !empty) text.append(1, '\n').append(2 * level, ' ');
  }

  const bool lines_;
};

}  // namespace

std::string write_yaml(const YamlNode& node) {
  YamlText out;
  if (node.kind == YamlNode::Kind::map || node.kind == YamlNode::Kind::sequence) {
    if (!node.tag.empty()) out.text += "!<" + node.tag + ">\n";
    if (node.members.empty() && node.items.empty())
      return out.text + (node.kind == YamlNode::Kind::map ? "{}\n" : "[]\n");
  }
  out.write(node, 0);
  return std::move(out.text);
}

std::string write_json(const YamlNode& node, JsonForm form) {
  JsonText out(form);
  out.write(node, 0);
  if (form == JsonForm::lines) out.text += '\n';
  return std::move(out.text);
}

std::string quoted(std::string_view raw) {
  const std::string text = utf8(raw);
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t from = at;
    const std::uint32_t code = next_code(text, at);
    if (code == '"' || code == '\\')
      out += '\\', out += static_cast<char>(code);
    else if (code == '\n')
      out += "\\n";
    else if (code == '\t')
      out += "\\t";
    else if (code == '\r')
      out += "\\r";
    else if (!is_printable(code))
      out += fmt::format("\\u{:04x}", code);
    else
      out.append(text, from, at - from);
  }
  return out + '"';
}

YamlNode make_string(std::string_view text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = text;
  node.string = true;
  return node;
}

YamlNode make_bool(bool value) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = value ? "true" : "false";
  node.plain = true;
  return node;
}

YamlNode make_map() {
  YamlNode node;
  node.kind = YamlNode::Kind::map;
  return node;
}

YamlNode make_sequence() {
  YamlNode node;
  node.kind = YamlNode::Kind::sequence;
  return node;
}

YamlNode& put(YamlNode& map, std::string_view name, YamlNode value) {
  map.members.push_back({std::string(name), std::move(value)});
  return map.members.back().value;
}

void put_text(YamlNode& map, std::string_view name, std::string_view text) {
  if (!text.empty()) put(map, name, make_string(text));
}

void put_unless_empty(YamlNode& map, std::string_view name, YamlNode value) {
  if (!value.members.empty() || !value.items.empty()) put(map, name, std::move(value));
}

}  // namespace ingot::agent
