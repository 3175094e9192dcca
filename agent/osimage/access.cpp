#include "agent/osimage/access.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace ingot::agent {
namespace {

constexpr std::string_view kAny = "*";

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::ranges::find(list, wanted) != list.end();
}

// "use" is what a provider does for somebody, and asks no more than "get".
std::string_view plain(std::string_view verb) {
  return verb == "use" ? "get" : verb;
}

bool grants_verb(const AccessRule& rule, std::string_view verb) {
  return std::ranges::any_of(rule.verbs, [&](const std::string& granted) {
    return granted == kAny || plain(granted) == plain(verb);
  });
}

bool is_for(const AccessRule& rule, const Caller& caller) {
  if (has(rule.users, kAny)) return true;
  if (!caller.user.empty() && has(rule.users, caller.user)) return true;
  return std::ranges::any_of(caller.teams, [&](const std::string& team) {
    return has(rule.teams, kAny) || has(rule.teams, team);
  });
}

void warn_of_unknown(const ManifestReader& reader, const YamlNode& node, const std::string& field,
                     std::span<const std::string_view> known, const OnWarning& on_warning) {
  if (!on_warning) return;
  for (const auto& [key, value] : node.members)
    if (std::ranges::find(known, key) == known.end())
      on_warning(reader.remark(value, fmt::format("{}.{}", field, key), "unknown; passed over"));
}

Result<AccessRule> read_rule(const ManifestReader& reader, const YamlNode& node,
                             const std::string& field, const OnWarning& on_warning) {
  static constexpr std::array<std::string_view, 5> kKnown = {"name", "verbs", "subresources",
                                                             "users", "teams"};
  if (node.kind != YamlNode::Kind::map)
    return reader.refuse(node, field, fmt::format("a map is wanted, {} is there", node.describe()));
  AccessRule rule;
  INGOT_TRY_ASSIGN(rule.name, reader.optional_text(node, "name", field + ".name"));
  INGOT_TRY_ASSIGN(rule.verbs, reader.optional_texts(node, "verbs", field + ".verbs"));
  INGOT_TRY_ASSIGN(rule.subresources,
                   reader.optional_texts(node, "subresources", field + ".subresources"));
  INGOT_TRY_ASSIGN(rule.users, reader.optional_texts(node, "users", field + ".users"));
  INGOT_TRY_ASSIGN(rule.teams, reader.optional_texts(node, "teams", field + ".teams"));
  if (rule.verbs.empty()) {
    const YamlNode* verbs = node.find("verbs");
    return reader.refuse(verbs != nullptr ? *verbs : node, field + ".verbs",
                         fmt::format("{}; a rule says which verbs it grants",
                                     verbs != nullptr ? "empty" : "missing"));
  }
  warn_of_unknown(reader, node, field, kKnown, on_warning);
  if (rule.users.empty() && rule.teams.empty() && on_warning)
    on_warning(reader.remark(node, field, "neither users nor teams: it grants nobody anything"));
  return rule;
}

}  // namespace

Result<AccessRules> read_access(const ManifestReader& reader, const YamlNode& spec,
                                const OnWarning& on_warning) {
  static constexpr std::array<std::string_view, 2> kKnown = {"user", "team"};
  AccessRules access;
  const YamlNode* owner = spec.find("owner");
  if (owner != nullptr && owner->kind != YamlNode::Kind::null) {
    INGOT_TRY(reader.map(spec, "owner", "spec.owner"));
    INGOT_TRY_ASSIGN(access.owner_user, reader.optional_text(*owner, "user", "spec.owner.user"));
    INGOT_TRY_ASSIGN(access.owner_team, reader.optional_text(*owner, "team", "spec.owner.team"));
    if (!access.owner_user.empty() && !access.owner_team.empty())
      return reader.refuse(*owner, "spec.owner", "both a user and a team; an owner is one of them");
    warn_of_unknown(reader, *owner, "spec.owner", kKnown, on_warning);
  }
  const YamlNode* rules = spec.find("access");
  if (rules == nullptr || rules->kind == YamlNode::Kind::null) return access;
  if (rules->kind != YamlNode::Kind::sequence)
    return reader.refuse(*rules, "spec.access",
                         fmt::format("a list is wanted, {} is there", rules->describe()));
  for (std::size_t i = 0; i < rules->items.size(); ++i) {
    INGOT_TRY_ASSIGN(auto rule, read_rule(reader, rules->items[i],
                                          fmt::format("spec.access[{}]", i), on_warning));
    access.rules.push_back(std::move(rule));
  }
  return access;
}

bool may(const AccessRules& access, const Caller& caller, std::string_view verb) {
  if (!access.owner_user.empty() && access.owner_user == caller.user) return true;
  if (!access.owner_team.empty() && has(caller.teams, access.owner_team)) return true;
  return std::ranges::any_of(access.rules, [&](const AccessRule& rule) {
    return rule.subresources.empty() && grants_verb(rule, verb) && is_for(rule, caller);
  });
}

std::string who_may_grant(const AccessRules& access) {
  if (!access.owner_user.empty()) return "its owner, user " + access.owner_user;
  if (!access.owner_team.empty()) return "its owner, team " + access.owner_team;
  return "an administrator of the platform";
}

std::string describe(const Caller& caller) {
  if (caller.teams.empty()) return "user " + caller.user;
  const std::string teams =
      fmt::format("team{} {}", caller.teams.size() == 1 ? "" : "s", fmt::join(caller.teams, ", "));
  if (caller.user.empty()) return "somebody of the " + teams;
  return fmt::format("user {} of the {}", caller.user, teams);
}

}  // namespace ingot::agent
