/// MAC addresses (EUI-48) as people and firmware write them.
#pragma once

#include <string>
#include <string_view>

namespace ingot::agent {

/// "52:54:00:12:34:56", of that form, of "52-54-00-12-34-56" and of "525400123456", in any case; ""
/// if it is none.
[[nodiscard]] std::string normal_mac(std::string_view text);

}  // namespace ingot::agent
