#include "agent/text/yaml_document.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
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

class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(mark, anchor, YamlNode::Kind::null));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{line(mark), "aliases are not accepted here; write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = make(mark, anchor, YamlNode::Kind::scalar);
    // yaml-cpp tags a quoted scalar "!", a plain one "?".
    node.string = tag == "!" || tag == "tag:yaml.org,2002:str" ||
                  ((tag == "?" || tag.empty()) && is_plain_string(value));
    node.text = value;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(mark, anchor, YamlNode::Kind::sequence));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(mark, anchor, YamlNode::Kind::map));
  }
  void OnMapEnd() override { close(); }

  YamlNode root;

 private:
  struct Level {
    YamlNode node;
    std::optional<std::string> key;  // of the member whose value comes next
    int key_line = 0;
  };

  static int line(const YAML::Mark& mark) { return mark.line + 1; }

  YamlNode make(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (anchor != YAML::NullAnchor)
      throw Refused{line(mark), "anchors are not accepted here; write the value out"};
    if (++nodes_ > kMaxNodes)
      throw Refused{line(mark), fmt::format("more than {} values", kMaxNodes)};
    YamlNode node;
    node.kind = kind;
    node.line = line(mark);
    return node;
  }

  void open(YamlNode node) {
    if (levels_.size() == kMaxDepth)
      throw Refused{node.line, fmt::format("nested deeper than {} levels", kMaxDepth)};
    levels_.push_back({std::move(node), std::nullopt, 0});
  }

  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (levels_.empty()) {
      root = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::sequence) {
      level.node.items.push_back(std::move(node));
    } else if (!level.key) {
      if (node.kind != YamlNode::Kind::scalar || !node.string)
        throw Refused{node.line, "a key that is not a string"};
      if (level.node.find(node.text) != nullptr)
        throw Refused{node.line, fmt::format("the key '{}' is there twice", node.text)};
      level.key = std::move(node.text);
      level.key_line = node.line;
    } else {
      // yaml-cpp notices that a value is missing only where the next one begins.
      if (node.kind == YamlNode::Kind::null) node.line = level.key_line;
      level.node.members.push_back({std::move(*level.key), std::move(node)});
      level.key.reset();
    }
  }

  std::vector<Level> levels_;
  std::size_t nodes_ = 0;
};

tl::unexpected<Error> refuse(int line, const std::string& why) {
  return fail(Errc::usage_manifest, fmt::format("line {}: {}", line, why));
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
  if (text.size() > kMaxYamlSize) return refuse(1, "more than 1 MiB");
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return refuse(static_cast<int>(std::count(text.begin(), text.begin() + nul, '\n')) + 1,
                  "a NUL byte: this is no text");
  try {
    // The end marker is for yaml-cpp, which takes the end of the text for the end of a quoted
    // value: a file that was cut off there must not pass.
    std::istringstream in(std::string(text) + "\n...\n");
    YAML::Parser parser(in);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return refuse(1, "no document in it");
    TreeBuilder second;
    if (parser.HandleNextDocument(second))
      return refuse(std::max(second.root.line, 1), "a second document; only one is accepted");
    if (builder.root.kind == YamlNode::Kind::null) return refuse(1, "no document in it");
    return std::move(builder.root);
  } catch (const Refused& refused) {
    return refuse(refused.line, refused.why);
  } catch (const YAML::Exception& error) {
    return refuse(error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return refuse(1, error.what());
  }
}

}  // namespace ingot::agent
