/// YAML (or JSON) documents as small trees with line numbers. The only wrapper of yaml-cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

struct YamlMember;

/// A value of the document.
struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  int line = 0;         ///< from 1
  std::string text;     ///< scalar: its value
  bool string = false;  ///< scalar: quoted, tagged !!str, or nothing else by YAML 1.2's core schema
  bool plain = false;   ///< scalar: written without quotes and tag; YAML 1.1 may take it otherwise
  bool plain_key = false;           ///< as the value of a map: its key was plain
  std::string tag;                  ///< "tag:yaml.org,2002:binary", "!mine"; "": none, or !!str
  std::vector<YamlMember> members;  ///< map, in order, keys unique
  std::vector<YamlNode> items;      ///< sequence

  /// The member called `key`, or nullptr (also when this is no map).
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
  /// "a string", "a number, boolean or null", "a list", "a map", "nothing": for messages.
  [[nodiscard]] std::string_view describe() const;
};

/// A key of a map and what it holds. Not a std::pair, whose second type has to be complete.
struct YamlMember {
  std::string name;
  YamlNode value;
};

/// Parses `text`, which must hold exactly one document.
///
/// Hostile input: `text` is limited to kMaxYamlSize, nesting to 32 levels, values to 10,000. Each
/// is refused as soon as it is met. Anchors and aliases are refused altogether (no bomb, and no
/// field that is not where it seems to be), and so are duplicate keys, of which every reader would
/// take another one, and keys that are not strings.
/// Errors: usage.manifest, beginning with "line N: ".
Result<YamlNode> parse_yaml(std::string_view text);

/// The same of a text of several documents, separated by "---": at least one. Empty documents are
/// passed over; the limits are for all of them together.
Result<std::vector<YamlNode>> parse_yaml_documents(std::string_view text);

/// The same of a document that somebody wrote for another program, such as cloud-init, and that is
/// written out again: anchors are accepted, and each alias becomes a copy of what it names. Keys
/// may be any scalars. The limits hold for the copies too, kMaxYamlSize for the text in them.
Result<YamlNode> parse_foreign_yaml(std::string_view text);

inline constexpr std::size_t kMaxYamlSize = 1024 * 1024;

}  // namespace ingot::agent
