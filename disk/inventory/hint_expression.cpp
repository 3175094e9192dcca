#include "disk/inventory/hint_expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

namespace ingot::disk {
namespace {

constexpr std::string_view kOr = "<or>", kAllIn = "<all-in>", kRangeIn = "<range-in>";
// In the order in which they are tried.
constexpr std::array<std::string_view, 14> kUnary = {"==", "=",   "!=",  "<in>", ">=", "<=",  ">",
                                                     "<",  "s==", "s!=", "s<=",  "s<", "s>=", "s>"};

bool is_blank(char c) {
  return (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= ' ');
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Reads words from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  bool literal(std::string_view word) {
    skip();
    if (!left_.starts_with(word)) return false;
    left_.remove_prefix(word.size());
    return true;
  }

  // A word that does not begin as an operator does.
  std::optional<std::string> atom() {
    skip();
    const auto is_prefix = [this](std::string_view op) { return left_.starts_with(op); };
    if (std::ranges::any_of(kUnary, is_prefix)) return std::nullopt;
    const auto end = std::ranges::find_if(left_, is_blank);
    std::string word(left_.begin(), end);
    if (word.empty()) return std::nullopt;
    left_.remove_prefix(word.size());
    return word;
  }

 private:
  void skip() {
    while (!left_.empty() && std::string_view(" \n\t\r").find(left_.front()) != std::string::npos)
      left_.remove_prefix(1);
  }

  std::string_view left_;
};

std::optional<HintTokens> read_disjunction(std::string_view text) {
  HintTokens tokens{std::string(kOr), {}};
  Reader reader(text);
  while (reader.literal(kOr)) {
    auto value = reader.atom();
    if (!value) break;
    tokens.values.push_back(*std::move(value));
  }
  if (tokens.values.empty()) return std::nullopt;
  return tokens;
}

std::optional<HintTokens> read_list(std::string_view text, std::string_view op, std::size_t least,
                                    std::size_t most) {
  HintTokens tokens{std::string(op), {}};
  Reader reader(text);
  if (!reader.literal(op)) return std::nullopt;
  while (tokens.values.size() < most) {
    auto value = reader.atom();
    if (!value) break;
    tokens.values.push_back(*std::move(value));
  }
  if (tokens.values.size() < least) return std::nullopt;
  return tokens;
}

std::optional<HintTokens> read_unary(std::string_view text) {
  Reader reader(text);
  for (const std::string_view op : kUnary) {
    if (!reader.literal(op)) continue;
    // The first operator that fits is the one, whatever follows.
    auto value = reader.atom();
    if (!value) return std::nullopt;
    return HintTokens{std::string(op), {*std::move(value)}};
  }
  return std::nullopt;
}

// As urllib's quote(): everything but letters, digits and these.
std::string in_quotes(std::string_view text) {
  constexpr std::string_view kSafe = "_.-~/";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || kSafe.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// Digits with single underscores between them; without these in `into`.
bool take_digits(std::string_view& text, std::string& into) {
  bool digits = false;
  while (!text.empty()) {
    const bool underscore = text[0] == '_' && digits && text.size() > 1;
    const char c = underscore ? text[1] : text[0];
    if (c < '0' || c > '9') break;
    into += c;
    digits = true;
    text.remove_prefix(underscore ? 2 : 1);
  }
  return digits;
}

void take_sign(std::string_view& text, std::string& into) {
  if (text.starts_with('+') || text.starts_with('-')) {
    into += text.front();
    text.remove_prefix(1);
  }
}

// A number as Python's float() reads it.
std::optional<double> parse_number(std::string_view given) {
  std::string_view text = trimmed(given);
  std::string plain;
  take_sign(text, plain);
  const std::string word = lowered(text);
  if (word == "inf" || word == "infinity" || word == "nan")
    return std::strtod((plain + word).c_str(), nullptr);
  bool digits = take_digits(text, plain);
  if (text.starts_with('.')) {
    plain += '.';
    text.remove_prefix(1);
    digits = take_digits(text, plain) || digits;
  }
  if (!digits) return std::nullopt;
  if (text.starts_with('e') || text.starts_with('E')) {
    plain += 'e';
    text.remove_prefix(1);
    take_sign(text, plain);
    if (!take_digits(text, plain)) return std::nullopt;
  }
  if (!text.empty()) return std::nullopt;
  return std::strtod(plain.c_str(), nullptr);
}

Comparison as_comparison(bool satisfied) {
  return satisfied ? Comparison::equal : Comparison::different;
}

bool is_numeric(std::string_view op) {
  return op == "=" || op == "==" || op == "!=" || op == ">=" || op == "<=" || op == ">" ||
         op == "<";
}

bool compare_numbers(double value, std::string_view op, double wanted) {
  if (op == "==") return value == wanted;
  if (op == "!=") return value != wanted;
  if (op == "<=") return value <= wanted;
  if (op == "<") return value < wanted;
  if (op == ">") return value > wanted;
  return value >= wanted;  // ">=" and "="
}

Comparison compare_range(double value, const std::vector<std::string>& range) {
  const auto low = parse_number(range[1]), high = parse_number(range[2]);
  if (!low || !high || *low > *high) return Comparison::impossible;
  if ((range[0] != "[" && range[0] != "(") || (range[3] != "]" && range[3] != ")"))
    return Comparison::impossible;
  return as_comparison((range[0] == "[" ? value >= *low : value > *low) &&
                       (range[3] == "]" ? value <= *high : value < *high));
}

}  // namespace

std::optional<HintTokens> tokenize_hint(std::string_view text) {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  if (auto tokens = read_disjunction(text)) return tokens;
  if (auto tokens = read_list(text, kAllIn, 1, kAny)) return tokens;
  if (auto tokens = read_list(text, kRangeIn, 4, 4)) return tokens;
  if (auto tokens = read_unary(text)) return tokens;
  if (auto value = Reader(text).atom()) return HintTokens{"", {*std::move(value)}};
  return std::nullopt;
}

std::optional<HintTokens> split_hint(std::string_view expression) {
  const std::string text = lowered(trimmed(expression));
  const auto tokens = tokenize_hint(text);
  if (!tokens) return std::nullopt;
  if (tokens->op.empty()) return HintTokens{"", {text}};
  HintTokens parts{tokens->op, {}};
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(parts.op, at), text.size());
    if (end > at) parts.values.emplace_back(trimmed(std::string_view(text).substr(at, end - at)));
    at = end + parts.op.size();
  }
  return parts;
}

std::optional<std::string> normalize_hint(std::string_view expression) {
  const auto parts = split_hint(expression);
  if (!parts) return std::nullopt;
  if (parts->op.empty()) return in_quotes(parts->values.front());
  std::string text;
  for (const std::string& value : parts->values) text += parts->op + " " + in_quotes(value) + " ";
  text.pop_back();
  return text;
}

Comparison compare_text(const std::string& value, const HintTokens& hint) {
  const std::string& op = hint.op;
  const std::string& wanted = hint.values.front();
  if (is_numeric(op)) {
    const auto number = parse_number(value), limit = parse_number(wanted);
    if (!number || !limit) return Comparison::impossible;
    return as_comparison(compare_numbers(*number, op, *limit));
  }
  if (op == "s==") return as_comparison(value == wanted);
  if (op == "s!=") return as_comparison(value != wanted);
  if (op == "s<") return as_comparison(value < wanted);
  if (op == "s<=") return as_comparison(value <= wanted);
  if (op == "s>") return as_comparison(value > wanted);
  if (op == "s>=") return as_comparison(value >= wanted);
  if (op == "<in>") return as_comparison(value.find(wanted) != std::string::npos);
  if (op == kOr) return as_comparison(std::ranges::find(hint.values, value) != hint.values.end());
  return Comparison::impossible;
}

Comparison compare_size(double gibibytes, const HintTokens& hint) {
  if (is_numeric(hint.op)) {
    const auto limit = parse_number(hint.values.front());
    if (!limit) return Comparison::impossible;
    return as_comparison(compare_numbers(gibibytes, hint.op, *limit));
  }
  if (hint.op == kRangeIn) return compare_range(gibibytes, hint.values);
  // A number is never equal to a text, and cannot be put in order with one.
  if (hint.op == "s!=") return Comparison::equal;
  if (hint.op == "s==" || hint.op == kOr) return Comparison::different;
  return Comparison::impossible;
}

std::optional<long long> parse_integer(std::string_view given) {
  std::string_view text = trimmed(given);
  std::string plain;
  take_sign(text, plain);
  if (!take_digits(text, plain) || !text.empty()) return std::nullopt;
  return std::strtoll(plain.c_str(), nullptr, 10);
}

}  // namespace ingot::disk
