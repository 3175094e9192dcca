/// Writes a YamlNode out: as YAML that readers of YAML 1.1 (PyYAML, and so cloud-init) and of 1.2
/// take for the same, or as JSON.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "agent/text/yaml_document.hpp"

namespace ingot::agent {

/// Block style, two blanks a level, with a line end. Text of several lines becomes a literal block
/// wherever YAML can carry it in one. A scalar that was plain stays plain, so that `yes` remains
/// what its reader takes it for; a string is quoted where any reader would take it for something
/// else. Bytes that are no UTF-8 become U+FFFD. parse_foreign_yaml() reads it back equal.
[[nodiscard]] std::string write_yaml(const YamlNode& node);

/// JSON: in one line without a line end, or on several lines with one. Numbers and booleans by YAML
/// 1.2's core schema; what JSON cannot say (.nan, 0x10, tags) becomes a string.
enum class JsonForm { one_line, lines };
[[nodiscard]] std::string write_json(const YamlNode& node, JsonForm form);

/// `text` as a JSON string, with its quotes. It is a double-quoted YAML scalar as well.
[[nodiscard]] std::string quoted(std::string_view text);

/// Nodes, for who makes a document.
[[nodiscard]] YamlNode make_string(std::string_view text);
[[nodiscard]] YamlNode make_bool(bool value);
[[nodiscard]] YamlNode make_map();
[[nodiscard]] YamlNode make_sequence();
/// Appends to a map; `name` is not in it yet. Returns the value inside it.
YamlNode& put(YamlNode& map, std::string_view name, YamlNode value);
/// As above, unless `text` is "".
void put_text(YamlNode& map, std::string_view name, std::string_view text);
/// As above, unless `value` is empty.
void put_unless_empty(YamlNode& map, std::string_view name, YamlNode value);

}  // namespace ingot::agent
