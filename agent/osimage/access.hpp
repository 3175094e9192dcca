/// Access: who may use an object of the platform.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/osimage/manifest.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// One of spec.access: grants `verbs` to `users` and `teams`; "*" is any of them.
struct AccessRule {
  std::string name;  ///< of the rule, for people; or ""
  std::vector<std::string> verbs;
  std::vector<std::string> subresources;  ///< it grants these alone, and not the object itself
  std::vector<std::string> users, teams;
};

/// spec.owner and spec.access. One of the owner's two, or none.
struct AccessRules {
  std::string owner_user, owner_team;
  std::vector<AccessRule> rules;
};

/// Who asks. At least one of the two is given.
struct Caller {
  std::string user;
  std::vector<std::string> teams;
};

/// Reads spec.owner and spec.access. Errors: usage.manifest (a rule without verbs, wrong types, an
/// owner that is both user and team). What `on_warning` is told: unknown keys, a rule that grants
/// nobody anything.
Result<AccessRules> read_access(const ManifestReader& reader, const YamlNode& spec,
                                const OnWarning& on_warning = {});

/// Whether `caller` may do `verb` ("get"; "use" is the same): its owner may do everything, others
/// what a rule grants. Without rules and owner: nobody, as on the platform, where access comes from
/// rules alone.
[[nodiscard]] bool may(const AccessRules& access, const Caller& caller,
                       std::string_view verb = "get");

/// Who could grant access: "its owner, user admin", "an administrator of the platform".
[[nodiscard]] std::string who_may_grant(const AccessRules& access);

/// "user alice of the team research", "somebody of the teams research, ops": for messages.
[[nodiscard]] std::string describe(const Caller& caller);

}  // namespace ingot::agent
