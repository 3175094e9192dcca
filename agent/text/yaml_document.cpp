#include "agent/text/yaml_document.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

namespace ingot::agent {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 10'000;

// Thrown by our handler through yaml-cpp, and caught in parse_yaml().
struct Refused {
  int line;
  std::string why;
};

bool all_digits(std::string_view text, std::string_view digits) {
  return !text.empty() && text.find_first_not_of(digits) == std::string_view::npos;
}

// Source: YAML 1.2.2, section 10.3.2 (core schema, tag resolution).
bool is_number(std::string_view text) {
  if (text.starts_with("0o")) return all_digits(text.substr(2), "01234567");
  if (text.starts_with("0x")) return all_digits(text.substr(2), "0123456789abcdefABCDEF");
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
  const std::size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view power = text.substr(exponent + 1);
    if (!power.empty() && (power.front() == '-' || power.front() == '+')) power.remove_prefix(1);
    if (!all_digits(power, "0123456789")) return false;
    text = text.substr(0, exponent);
  }
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) return all_digits(text, "0123456789");
  const auto whole = text.substr(0, point), part = text.substr(point + 1);
  return (all_digits(whole, "0123456789") && (part.empty() || all_digits(part, "0123456789"))) ||
         (whole.empty() && all_digits(part, "0123456789"));
}

bool is_plain_string(std::string_view text) {
  static constexpr std::string_view kOthers[] = {"",     "~",    "null",  "Null",  "NULL", "true",
                                                 "True", "TRUE", "false", "False", "FALSE"};
  return std::ranges::find(kOthers, text) == std::end(kOthers) && !is_number(text);
}

// What a copy of `node` costs.
struct Extent {
  std::size_t nodes = 0, depth = 0, bytes = 0;
};

Extent extent_of(const YamlNode& node) {
  Extent all{1, 0, node.text.size() + node.tag.size()};
  const auto add = [&all](const YamlNode& inner) {
    const Extent part = extent_of(inner);
    all.nodes += part.nodes;
    all.depth = std::max(all.depth, part.depth);
    all.bytes += part.bytes;
  };
  for (const auto& member : node.members) {
    add(member.value);
    all.bytes += member.name.size();
    ++all.nodes;  // its key
  }
  for (const auto& item : node.items) add(item);
  if (node.kind == YamlNode::Kind::sequence || node.kind == YamlNode::Kind::map) ++all.depth;
  return all;
}

// JSON may write what UTF-16 needs two units for as two escapes, which YAML knows nothing of:
// "\ud83d\ude00" becomes the character itself. Anything but JSON stays as it is.
std::string without_surrogates(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || text[begin] != '{' ||
      text.find("\\u") == std::string_view::npos)
    return std::string(text);
  const auto unit = [&text](std::size_t at) -> std::uint32_t {
    std::uint32_t value = 0;
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0;
    const char* const end = text.data() + at + 6;
    return std::from_chars(end - 4, end, value, 16).ptr == end ? value : 0;
  };
  std::string out;
  out.reserve(text.size());
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') inside = !inside;
    if (!inside || text[at] != '\\') {
      out += text[at];
      continue;
    }
    const std::uint32_t high = unit(at), low = unit(at + 6);
    if (high >= 0xD800 && high < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
      const std::uint32_t code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
      for (const auto byte : {0xF0 | code >> 18, 0x80 | (code >> 12 & 0x3F),
                              0x80 | (code >> 6 & 0x3F), 0x80 | (code & 0x3F)})
        out += static_cast<char>(byte);
      at += 11;
    } else {
      out += text.substr(at, 2);  // what a backslash stands before is no quote
      ++at;
    }
  }
  return out;
}

enum class Dialect { ours, foreign };

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Dialect dialect = Dialect::ours) : dialect_(dialect) {}

  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(mark, anchor, YamlNode::Kind::null), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (dialect_ == Dialect::ours)
      throw Refused{line(mark), "aliases are not accepted here; write the value out"};
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw Refused{line(mark), "an alias inside what it names"};
    const Extent extent = extent_of(found->second);
    nodes_ += extent.nodes;
    copied_ += extent.bytes;
    if (nodes_ > kMaxNodes) refuse_number(line(mark));
    if (levels_.size() + extent.depth > kMaxDepth) refuse_depth(line(mark));
    if (copied_ > kMaxYamlSize)
      throw Refused{line(mark), "aliases that stand for more than 1 MiB of text"};
    add(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = make(mark, anchor, YamlNode::Kind::scalar);
    // yaml-cpp tags a quoted scalar "!", a plain one "?".
    node.string = tag == "!" || tag == "tag:yaml.org,2002:str" ||
                  ((tag == "?" || tag.empty()) && is_plain_string(value));
    node.plain = tag == "?" || tag.empty();
    if (!node.plain && !node.string) node.tag = tag;
    node.text = value;
    add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(mark, anchor, YamlNode::Kind::sequence), tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(mark, anchor, YamlNode::Kind::map), tag, anchor);
  }
  void OnMapEnd() override { close(); }

  YAML::Mark start = YAML::Mark::null_mark();  ///< of the last document
  YamlNode root;  ///< of the last document; the limit on values is for all of them together

 private:
  struct Level {
    YamlNode node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::optional<std::string> key;  // of the member whose value comes next
    int key_line = 0;
    bool key_plain = false;
  };

  static int line(const YAML::Mark& mark) { return mark.line + 1; }

  YamlNode make(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (anchor != YAML::NullAnchor && dialect_ == Dialect::ours)
      throw Refused{line(mark), "anchors are not accepted here; write the value out"};
    if (++nodes_ > kMaxNodes) refuse_number(line(mark));
    YamlNode node;
    node.kind = kind;
    node.line = line(mark);
    return node;
  }

  [[noreturn]] static void refuse_number(int at) {
    throw Refused{at, fmt::format("more than {} values", kMaxNodes)};
  }
  [[noreturn]] static void refuse_depth(int at) {
    throw Refused{at, fmt::format("nested deeper than {} levels", kMaxDepth)};
  }

  void open(YamlNode node, const std::string& tag, YAML::anchor_t anchor) {
    if (levels_.size() == kMaxDepth) refuse_depth(node.line);
    if (tag != "?" && tag != "!") node.tag = tag;
    levels_.push_back({std::move(node), anchor, std::nullopt, 0, false});
  }

  void close() {
    YamlNode node = std::move(levels_.back().node);
    const YAML::anchor_t anchor = levels_.back().anchor;
    levels_.pop_back();
    add(std::move(node), anchor);
  }

  void add(YamlNode node, YAML::anchor_t anchor = YAML::NullAnchor) {
    if (anchor != YAML::NullAnchor) anchored_[anchor] = node;
    if (levels_.empty()) {
      root = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::sequence) {
      level.node.items.push_back(std::move(node));
    } else if (!level.key) {
      if (node.kind == YamlNode::Kind::null && dialect_ == Dialect::foreign) {
        node.kind = YamlNode::Kind::scalar;
        node.plain = true;
        node.text = "null";
      }
      const bool scalar = node.kind == YamlNode::Kind::scalar && node.tag.empty();
      if (!scalar || (!node.string && dialect_ == Dialect::ours))
        throw Refused{node.line, "a key that is not a string"};
      if (level.node.find(node.text) != nullptr)
        throw Refused{node.line, fmt::format("the key '{}' is there twice", node.text)};
      level.key = std::move(node.text);
      level.key_line = node.line;
      level.key_plain = node.plain;
    } else {
      // yaml-cpp notices that a value is missing only where the next one begins.
      if (node.kind == YamlNode::Kind::null) node.line = level.key_line;
      node.plain_key = level.key_plain;
      level.node.members.push_back({std::move(*level.key), std::move(node)});
      level.key.reset();
    }
  }

  const Dialect dialect_;
  std::vector<Level> levels_;
  std::size_t nodes_ = 0, copied_ = 0;
  std::map<YAML::anchor_t, YamlNode> anchored_;
};

tl::unexpected<Error> refuse(int line, const std::string& why) {
  return fail(Errc::usage_manifest, fmt::format("line {}: {}", line, why));
}

// Calls `read` with a parser of `text`; what is thrown on the way becomes an error.
template <class Read>
auto parse(std::string_view text, const Read& read)
    -> decltype(read(std::declval<YAML::Parser&>())) {
  if (text.size() > kMaxYamlSize) return refuse(1, "more than 1 MiB");
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return refuse(static_cast<int>(std::count(text.begin(), text.begin() + nul, '\n')) + 1,
                  "a NUL byte: this is no text");
  try {
    // The end marker is for yaml-cpp, which takes the end of the text for the end of a quoted
    // value: a file that was cut off there must not pass.
    // Not an empty line more than there is, which "|+" would keep.
    std::istringstream in(without_surrogates(text) + (text.ends_with('\n') ? "...\n" : "\n...\n"));
    YAML::Parser parser(in);
    return read(parser);
  } catch (const Refused& refused) {
    return refuse(refused.line, refused.why);
  } catch (const YAML::Exception& error) {
    return refuse(error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return refuse(1, error.what());
  }
}

Result<YamlNode> parse_one(std::string_view text, Dialect dialect) {
  return parse(text, [dialect](YAML::Parser& parser) -> Result<YamlNode> {
    TreeBuilder builder(dialect);
    if (!parser.HandleNextDocument(builder)) return refuse(1, "no document in it");
    TreeBuilder second(dialect);
    if (parser.HandleNextDocument(second))
      return refuse(std::max(second.root.line, 1), "a second document; only one is accepted");
    if (builder.root.kind == YamlNode::Kind::null) return refuse(1, "no document in it");
    return std::move(builder.root);
  });
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

std::string_view YamlNode::describe() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return string ? "a string" : "a number, boolean or null";
    case Kind::sequence:
      return "a list";
    case Kind::map:
      return "a map";
  }
  return "nothing";
}

Result<YamlNode> parse_yaml(std::string_view text) {
  return parse_one(text, Dialect::ours);
}

Result<YamlNode> parse_foreign_yaml(std::string_view text) {
  return parse_one(text, Dialect::foreign);
}

Result<std::vector<YamlNode>> parse_yaml_documents(std::string_view text) {
  return parse(text, [](YAML::Parser& parser) -> Result<std::vector<YamlNode>> {
    std::vector<YamlNode> documents;
    TreeBuilder builder(Dialect::ours);
    for (int before = -1; parser.HandleNextDocument(builder); before = builder.start.pos) {
      // yaml-cpp takes what cannot begin a document, a comma, for an empty one, for ever.
      if (builder.start.pos == before)
        return refuse(builder.start.line + 1, "what is here does not begin a document");
      if (builder.root.kind != YamlNode::Kind::null) documents.push_back(std::move(builder.root));
      builder.root = {};
    }
    if (documents.empty()) return refuse(1, "no document in it");
    return documents;
  });
}

}  // namespace ingot::agent
