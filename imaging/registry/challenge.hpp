/// Challenges: what a server that answers 401 wants to be told.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::imaging {

/// One challenge of a WWW-Authenticate field (RFC 9110, 11.6.1).
struct Challenge {
  std::string scheme;                             ///< lower case
  std::map<std::string, std::string> parameters;  ///< names in lower case, values unquoted
};

/// The challenges of one field's value, in order. What is malformed ends the list: what came
/// before it is kept.
std::vector<Challenge> parse_challenges(std::string_view value);

}  // namespace ingot::imaging
