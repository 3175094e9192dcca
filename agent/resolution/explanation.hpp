/// Explanation: which property came from where, for people.
#pragma once

#include "agent/resolution/resolve.hpp"
#include "agent/text/yaml_document.hpp"

namespace ingot::agent {

/// A map of `properties` (each with name, value, from {kind, name, file, line}, and what it
/// overrode), `leftOut` and `warnings`. User data is not in it, only how long it is.
[[nodiscard]] YamlNode explain(const Resolution& resolution);

}  // namespace ingot::agent
