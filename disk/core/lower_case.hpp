/// lower_case(): for names that are the same in capitals, such as MAC addresses and schemes.
#pragma once

#include <string>
#include <string_view>

namespace ingot {

/// `text` with A to Z made small; every other byte, and so every other alphabet, stays. Does not
/// depend on the locale.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace ingot
