#include "agent/text/text.hpp"

#include <unistd.h>

#include "agent/text/write_all.hpp"

namespace ingot::agent {

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '\n' || c == '\t' || c == '\r') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

void say(std::string_view text) {
  constexpr std::chrono::seconds kPatience{10};
  write_all(STDERR_FILENO, "ingot: " + printable(text) + '\n', kPatience);
}

}  // namespace ingot::agent
