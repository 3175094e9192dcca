#include "disk/menu/grub_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace ingot::disk {
namespace {

bool name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool name_char(char c) {
  return name_start(c) || (c >= '0' && c <= '9');
}
bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

struct Token {
  enum class Kind { word, separator, open, close, end };
  Kind kind = Kind::end;
  unsigned line = 0;
  GrubWord word;

  // The word as it stands, if nothing in it is quoted or a variable: only such are keywords.
  [[nodiscard]] std::string_view plain() const {
    if (kind != Kind::word || word.size() != 1 || word[0].quoted || word[0].variable) return {};
    return word[0].value;
  }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<Token> next() {
    skip_blanks();
    Token token;
    token.line = line_;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (c == '\n' || c == ';') {
      if (c == '\n') ++line_;
      ++at_;
      token.kind = Token::Kind::separator;
      return token;
    }
    if (c == '{' || c == '}') {
      ++at_;
      token.kind = c == '{' ? Token::Kind::open : Token::Kind::close;
      return token;
    }
    if (c == '|' || c == '&' || c == '<' || c == '>')
      return wrong(fmt::format("'{}' has no meaning there", c));
    token.kind = Token::Kind::word;
    INGOT_TRY(read_word(token.word));
    return token;
  }

  [[nodiscard]] unsigned line() const { return line_; }

 private:
  static tl::unexpected<Error> wrong(std::string why) {
    return fail(Errc::image_unsupported, std::move(why));
  }

  void skip_blanks() {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
        ++line_;
        ++at_;
      } else if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        return;
      } else if (!blank(text_[at_])) {
        return;
      }
    }
  }

  static void add(GrubWord& word, char c, bool quoted) {
    if (word.empty() || word.back().variable || word.back().quoted != quoted)
      word.push_back({{}, false, quoted});
    word.back().value += c;
  }

  Result<void> read_word(GrubWord& word) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (blank(c) || std::string_view("\n;{}|&<>").find(c) != std::string_view::npos) break;
      if (c == '\'') {
        INGOT_TRY(read_single(word));
      } else if (c == '"') {
        INGOT_TRY(read_double(word));
      } else if (c == '$') {
        INGOT_TRY(read_variable(word, false));
      } else if (c == '\\') {
        if (++at_ == text_.size()) return wrong("it ends in a backslash");
        if (text_[at_] == '\n')
          ++line_;
        else
          add(word, text_[at_], true);
        ++at_;
      } else {
        add(word, c, false);
        ++at_;
      }
    }
    return {};
  }

  Result<void> read_single(GrubWord& word) {
    const auto end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) return wrong("a single quote is not closed");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    word.push_back({std::string(inside), false, true});
    line_ += static_cast<unsigned>(std::ranges::count(inside, '\n'));
    at_ = end + 1;
    return {};
  }

  Result<void> read_double(GrubWord& word) {
    word.push_back({{}, false, true});
    for (++at_; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return {};
      }
      if (c == '$') {
        INGOT_TRY(read_variable(word, true));
        continue;
      }
      if (c == '\n') ++line_;
      if (c == '\\' && at_ + 1 < text_.size() &&
          std::string_view("$\"\\\n").find(text_[at_ + 1]) != std::string_view::npos) {
        ++at_;
        if (text_[at_] == '\n')
          ++line_;
        else
          add(word, text_[at_], true);
      } else {
        add(word, c, true);
      }
      ++at_;
    }
    return wrong("a double quote is not closed");
  }

  Result<void> read_variable(GrubWord& word, bool quoted) {
    ++at_;
    const bool braces = at_ < text_.size() && text_[at_] == '{';
    if (braces) ++at_;
    const std::size_t begin = at_;
    if (at_ < text_.size()) {
      const char first = text_[at_];
      if (name_start(first))
        while (at_ < text_.size() && name_char(text_[at_])) ++at_;
      else if (first >= '0' && first <= '9')
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      else if (std::string_view("?@*#").find(first) != std::string_view::npos)
        ++at_;
    }
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (braces && (at_ == text_.size() || text_[at_] != '}' || name.empty()))
      return wrong("'${' is not followed by a name and '}'");
    if (braces) ++at_;
    if (name.empty())
      add(word, '$', quoted);
    else
      word.push_back({std::string(name), true, quoted});
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned line_ = 1;
};

// What ends a block of statements.
enum class End { file, brace, then, elif_, else_, fi, do_, done };
constexpr std::array kKeywords = {std::pair{std::string_view("then"), End::then},
                                  std::pair{std::string_view("elif"), End::elif_},
                                  std::pair{std::string_view("else"), End::else_},
                                  std::pair{std::string_view("fi"), End::fi},
                                  std::pair{std::string_view("do"), End::do_},
                                  std::pair{std::string_view("done"), End::done}};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<GrubBlock> whole() {
    INGOT_TRY(advance());
    GrubBlock block;
    INGOT_TRY_ASSIGN(const End end, statements(block, 0));
    if (end != End::file) return wrong("something ends there that was not begun");
    return block;
  }

  [[nodiscard]] unsigned line() const { return lexer_.line(); }

 private:
  static tl::unexpected<Error> wrong(std::string why) {
    return fail(Errc::image_unsupported, std::move(why));
  }

  Result<void> advance() {
    INGOT_TRY_ASSIGN(token_, lexer_.next());
    if (token_.kind == Token::Kind::word && ++words_ > kMostGrubWords)
      return wrong("it has too many words");
    return {};
  }

  // Reads statements into `block`, and the keyword or brace behind them.
  Result<End> statements(GrubBlock& block, int depth) {
    if (depth > kDeepestGrubBlock) return wrong("its blocks are too deep");
    for (;;) {
      while (token_.kind == Token::Kind::separator) INGOT_TRY(advance());
      if (token_.kind == Token::Kind::end) return End::file;
      if (token_.kind == Token::Kind::open) return wrong("a '{' stands there alone");
      if (token_.kind == Token::Kind::close) {
        INGOT_TRY(advance());
        return End::brace;
      }
      for (const auto& [word, end] : kKeywords)
        if (token_.plain() == word) {
          INGOT_TRY(advance());
          return end;
        }
      GrubStatement statement;
      statement.line = token_.line;
      if (token_.plain() == "if") {
        INGOT_TRY(read_if(statement, depth));
      } else if (token_.plain() == "while" || token_.plain() == "until" ||
                 token_.plain() == "for") {
        INGOT_TRY(read_loop(statement, depth));
      } else if (token_.plain() == "function") {
        INGOT_TRY(read_function(statement, depth));
      } else {
        INGOT_TRY(read_command(statement, depth));
      }
      block.push_back(std::move(statement));
    }
  }

  Result<void> body(GrubStatement& statement, int depth, End wanted) {
    statement.blocks.emplace_back();
    INGOT_TRY_ASSIGN(const End end, statements(statement.blocks.back(), depth + 1));
    if (end != wanted) return wrong("a block does not end as it should");
    return {};
  }

  Result<void> read_if(GrubStatement& statement, int depth) {
    statement.kind = GrubStatement::Kind::condition;
    INGOT_TRY(advance());
    for (;;) {
      INGOT_TRY(body(statement, depth, End::then));
      statement.blocks.emplace_back();
      INGOT_TRY_ASSIGN(const End end, statements(statement.blocks.back(), depth + 1));
      if (end == End::elif_) continue;
      if (end == End::else_) return body(statement, depth, End::fi);
      if (end == End::fi) return {};
      return wrong("an 'if' has no 'fi'");
    }
  }

  Result<void> read_loop(GrubStatement& statement, int depth) {
    statement.kind = GrubStatement::Kind::loop;
    const bool with_variable = token_.plain() == "for";
    INGOT_TRY(advance());
    if (with_variable) {
      while (token_.kind == Token::Kind::word && token_.plain() != "do") {
        statement.words.push_back(token_.word);
        INGOT_TRY(advance());
      }
    }
    INGOT_TRY(body(statement, depth, End::do_));
    return body(statement, depth, End::done);
  }

  Result<void> read_function(GrubStatement& statement, int depth) {
    statement.kind = GrubStatement::Kind::function;
    INGOT_TRY(advance());
    if (token_.kind != Token::Kind::word) return wrong("a function has no name");
    statement.words.push_back(token_.word);
    do {
      INGOT_TRY(advance());
    } while (token_.kind == Token::Kind::separator);
    if (token_.kind != Token::Kind::open) return wrong("a function has no body");
    INGOT_TRY(advance());
    return body(statement, depth, End::brace);
  }

  Result<void> read_command(GrubStatement& statement, int depth) {
    while (token_.kind == Token::Kind::word) {
      statement.words.push_back(std::move(token_.word));
      INGOT_TRY(advance());
    }
    if (token_.kind != Token::Kind::open) return {};
    INGOT_TRY(advance());
    return body(statement, depth, End::brace);
  }

  Lexer lexer_;
  Token token_;
  std::size_t words_ = 0;
};

}  // namespace

std::optional<std::string> assigned_name(const GrubWord& word) {
  if (word.empty() || word[0].variable || word[0].quoted) return std::nullopt;
  const auto equals = word[0].value.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  std::string name = word[0].value.substr(0, equals);
  if (!std::ranges::all_of(name, name_char)) return std::nullopt;
  return name;
}

std::optional<std::string> literal_text(const GrubWord& word) {
  std::string text;
  for (const GrubPart& part : word) {
    if (part.variable) return std::nullopt;
    text += part.value;
  }
  return text;
}

Result<GrubBlock> parse_grub_script(std::string_view text, const std::string& name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Parser parser(text);
  auto block = parser.whole();
  if (!block)
    return fail(Errc::image_unsupported,
                fmt::format("{}: line {}: {}", name, parser.line(), block.error().message()));
  return block;
}

}  // namespace ingot::disk
