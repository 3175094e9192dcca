#include "agent/text/mac_address.hpp"

#include "disk/core/lower_case.hpp"

namespace ingot::agent {

std::string normal_mac(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == ':' || c == '-') && text.size() == 17 && i % 3 == 2) continue;
    const bool hex = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    if (!hex) return {};
    digits += c;
  }
  if (digits.size() != 12) return {};
  std::string mac;
  for (std::size_t i = 0; i < 12; i += 2) mac += (i > 0 ? ":" : "") + digits.substr(i, 2);
  return lower_case(mac);
}

}  // namespace ingot::agent
