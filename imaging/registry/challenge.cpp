#include "imaging/registry/challenge.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "disk/core/lower_case.hpp"

namespace ingot::imaging {
namespace {

bool is_token_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : text_(text) {}

  void skip(std::string_view what) {
    text_.remove_prefix(std::min(text_.find_first_not_of(what), text_.size()));
  }
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string token() {
    const auto* end = std::ranges::find_if_not(text_, is_token_character);
    std::string out(text_.begin(), end);
    text_.remove_prefix(out.size());
    return out;
  }
  // A token or a quoted string.
  std::optional<std::string> value() {
    if (!take('"')) return token();
    std::string out;
    while (!text_.empty()) {
      if (take('"')) return out;
      (void)take('\\');
      if (text_.empty()) break;
      out += text_.front();
      text_.remove_prefix(1);
    }
    return std::nullopt;
  }
  [[nodiscard]] bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view value) {
  std::vector<Challenge> out;
  FieldReader reader(value);
  for (;;) {
    reader.skip(" \t,");
    if (reader.at_end()) return out;
    std::string word = lower_case(reader.token());
    if (word.empty()) return out;
    reader.skip(" \t");
    // A word before '=' is a parameter of the challenge that has begun, any other begins one.
    if (!reader.take('=')) {
      out.push_back({std::move(word), {}});
      continue;
    }
    reader.skip(" \t");
    auto parameter = reader.value();
    if (!parameter || out.empty()) return out;
    out.back().parameters.insert_or_assign(std::move(word), *std::move(parameter));
  }
}

}  // namespace ingot::imaging
