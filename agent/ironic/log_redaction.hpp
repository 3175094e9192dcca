/// Logs leave this machine: what is secret in them does not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

/// Shorter secrets than this, in bytes, are not looked for: they would be found everywhere.
inline constexpr std::size_t kShortestSecret = 8;

/// `text` with "***" in place of
/// - every occurrence of each of `secrets`, also where they overlap;
/// - values of `ipa-agent-token=` and `agent_token`, in command lines, queries and JSON;
/// - config drives and other base64 of more than 255 characters, also wrapped into lines;
/// - credentials and query values of URLs.
[[nodiscard]] std::string redact_log(std::string_view text,
                                     const std::vector<std::string>& secrets);

}  // namespace ingot::agent
