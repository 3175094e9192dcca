#include "agent/resolution/user_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/text/base64.hpp"
#include "agent/text/yaml_document.hpp"
#include "agent/text/yaml_writer.hpp"
#include "disk/core/lower_case.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kHead = "#cloud-config\n";
constexpr std::string_view kKeys = "ssh_authorized_keys";
constexpr std::string_view kBlank = " \t\r\n\v\f";

enum class Kind { nothing, cloud_config, headless, ignition, mime, other };

tl::unexpected<Error> refuse(std::string why) {
  return fail(Errc::usage_manifest, std::move(why),
              "`cloud-init schema --config-file FILE` checks user data");
}

// Of the YAML parser's "line N: REASON: 'WORD'", without what it quotes: user data holds secrets.
tl::unexpected<Error> refuse_yaml(const Error& error) {
  std::string message = error.message();
  const std::size_t reason = message.find(": ") + 2;
  message.resize(std::min(message.find_first_of(":'", reason), message.size()));
  return refuse(message);
}

bool mentions_mime(std::string_view text) {
  constexpr std::size_t kLookedAt = 4096;
  return lower_case(text.substr(0, kLookedAt)).find("mime-version:") != std::string::npos;
}

Kind kind_of(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return Kind::nothing;
  const std::string start = lower_case(text.substr(first, 64));
  if (start.starts_with("#cloud-config") && !start.starts_with("#cloud-config-archive") &&
      !start.starts_with("#cloud-config-jsonp"))
    return Kind::cloud_config;
  if (start.starts_with('#')) return Kind::other;
  if (mentions_mime(text)) return Kind::mime;
  const auto parsed = parse_foreign_yaml(text);
  if (!parsed || parsed->kind != YamlNode::Kind::map) return Kind::other;
  return parsed->find("ignition") != nullptr ? Kind::ignition : Kind::headless;
}

// A name for the line between parts that is in none of them.
std::string boundary_for(std::string_view text) {
  for (int i = 0;; ++i) {
    std::string boundary = fmt::format("===ingot-{}===", i);
    if (text.find(boundary) == std::string_view::npos) return boundary;
  }
}

// A part of a message. cloud-init would spoil anything but ASCII that is not in base64.
std::string part_of(std::string_view type, std::string_view text) {
  constexpr std::size_t kColumns = 76;
  const bool as_it_is = !mentions_mime(text) && std::ranges::all_of(text, [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
  });
  std::string part = fmt::format(
      "Content-Type: {}; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: {}\n\n",
      type, as_it_is ? "7bit" : "base64");
  if (as_it_is) return part.append(text);
  const std::string encoded = to_base64(text);
  for (std::size_t at = 0; at < encoded.size(); at += kColumns)
    part.append(encoded, at, kColumns).append(1, '\n');
  return part;
}

std::string message_of(const std::vector<std::string>& parts) {
  std::string all;
  for (const auto& part : parts) all += part;
  const std::string boundary = boundary_for(all);
  std::string message = fmt::format(
      "Content-Type: multipart/mixed; boundary=\"{}\"\nMIME-Version: 1.0\n\n", boundary);
  for (const auto& part : parts) message += fmt::format("--{}\n{}\n", boundary, part);
  return message + fmt::format("--{}--\n", boundary);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A key without its comment. Options before it are part of it: they restrict what it may be used
// for.
std::string_view without_comment(std::string_view line) {
  line = trimmed(line);
  const std::size_t type = line.find_first_of(" \t");
  if (type == std::string_view::npos || line.substr(0, type).find_first_of("=\",") != line.npos)
    return line;
  const std::size_t key = line.find_first_not_of(" \t", type);
  return line.substr(0, line.find_first_of(" \t", key));
}

Result<void> append_keys(YamlNode& list, const std::vector<std::string>& keys) {
  for (const auto& item : list.items)
    if (item.kind != YamlNode::Kind::scalar)
      return refuse(fmt::format("line {}: {}: a string is wanted, {} is there", item.line, kKeys,
                                item.describe()));
  for (const auto& key : keys) {
    const bool there = std::ranges::any_of(list.items, [&](const YamlNode& item) {
      return without_comment(item.text) == without_comment(key);
    });
    if (!there) list.items.push_back(make_string(key));
  }
  return {};
}

// The member of a map, or of the maps that are merged into it by YAML 1.1's "<<".
const YamlNode* find_merged(const YamlNode& map, std::string_view key) {
  if (const YamlNode* direct = map.find(key)) return direct;
  const YamlNode* merged = map.find("<<");
  if (merged == nullptr || !merged->plain_key) return nullptr;
  if (merged->kind == YamlNode::Kind::map) return find_merged(*merged, key);
  for (const auto& item : merged->items)
    if (const YamlNode* found = find_merged(item, key)) return found;
  return nullptr;
}

// cloud-init gives the keys to the default user, whom a list of users may leave out.
bool leaves_default_user_out(const YamlNode& root) {
  const YamlNode* users = find_merged(root, "users");
  if (users == nullptr || users->kind != YamlNode::Kind::sequence) return false;
  return std::ranges::none_of(users->items, [](const YamlNode& user) {
    const YamlNode* name = user.find("name");
    return user.text == "default" || (name != nullptr && name->text == "default");
  });
}

Result<UserData> into_cloud_config(std::string_view text, const std::vector<std::string>& keys) {
  auto parsed = parse_foreign_yaml(text);
  YamlNode root = make_map();
  if (parsed) {
    root = *std::move(parsed);
  } else if (parsed.error().message() != parse_foreign_yaml("").error().message()) {
    return refuse_yaml(parsed.error());
  }  // else nothing but comments
  if (root.kind != YamlNode::Kind::map)
    return refuse(
        fmt::format("line {}: a cloud-config is a map, {} is there", root.line, root.describe()));
  UserData data;
  YamlNode* list = nullptr;
  for (auto& [name, value] : root.members)
    if (name == kKeys) list = &value;
  if (list == nullptr) {
    const YamlNode* merged = find_merged(root, kKeys);
    YamlNode own = merged != nullptr ? *merged : make_sequence();
    own.plain_key = true;
    list = &put(root, kKeys, std::move(own));
  }
  if (list->kind == YamlNode::Kind::null) list->kind = YamlNode::Kind::sequence;
  if (list->kind != YamlNode::Kind::sequence)
    return refuse(fmt::format("line {}: {}: a list is wanted, {} is there", list->line, kKeys,
                              list->describe()));
  INGOT_TRY(append_keys(*list, keys));
  if (leaves_default_user_out(root))
    data.remarks.emplace_back(
        "the user data lists users without 'default': cloud-init gives the SSH keys to root alone, "
        "and root may only log in with disable_root: false");
  data.text = std::string(kHead) + write_yaml(root);
  if (mentions_mime(data.text)) data.text = message_of({part_of("text/cloud-config", data.text)});
  return data;
}

std::string keys_alone(const std::vector<std::string>& keys, bool merged) {
  YamlNode root = make_map();
  YamlNode& list = put(root, kKeys, make_sequence());
  for (const auto& key : keys) list.items.push_back(make_string(key));
  // Appended to what other parts say, which stays.
  if (merged)
    put(root, "merge_how", make_string("list(append)+dict(no_replace,recurse_list)+str()"));
  return std::string(kHead) + write_yaml(root);
}

// A whole message as a part of another: its headers are the part's.
std::string_view without_envelope(std::string_view message) {
  const std::size_t first = message.find_first_not_of(kBlank);
  message.remove_prefix(std::min(first, message.size()));
  if (message.starts_with("From "))
    message.remove_prefix(std::min(message.find('\n') + 1, message.size()));
  return message;
}

}  // namespace

Result<UserData> with_ssh_keys(std::string_view text, const std::vector<std::string>& given) {
  std::vector<std::string> keys;
  for (const auto& key : given)
    if (std::ranges::none_of(keys, [&](const std::string& other) {
          return without_comment(other) == without_comment(key);
        }))
      keys.push_back(key);

  const Kind kind = kind_of(text);
  UserData data;
  if (kind == Kind::headless) {
    data.text = std::string(kHead) + std::string(text);
    data.remarks.emplace_back(
        "the user data is taken for a cloud-config; \"#cloud-config\" belongs "
        "into its first line");
    if (keys.empty()) return data;
  }
  if (keys.empty()) return UserData{std::string(text), {}};
  switch (kind) {
    case Kind::nothing:
      data.text = keys_alone(keys, false);
      return data;
    case Kind::cloud_config:
    case Kind::headless: {
      INGOT_TRY_ASSIGN(UserData merged, into_cloud_config(text, keys));
      merged.remarks.insert(merged.remarks.begin(), data.remarks.begin(), data.remarks.end());
      return merged;
    }
    case Kind::ignition:
      return refuse(
          "the user data is an Ignition config, into which no SSH keys can be put; its "
          "passwd.users has room for them");
    case Kind::mime:
      data.text = message_of({std::string(without_envelope(text)),
                              part_of("text/cloud-config", keys_alone(keys, true))});
      return data;
    case Kind::other:
      data.text = message_of(
          {part_of("text/plain", text), part_of("text/cloud-config", keys_alone(keys, true))});
      return data;
  }
  return data;
}

}  // namespace ingot::agent
