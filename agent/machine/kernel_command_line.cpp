#include "agent/machine/kernel_command_line.hpp"

#include <algorithm>
#include <filesystem>

#include "agent/machine/kernel_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

// Where the first word of `line` ends.
std::size_t end_of_word(std::string_view line, KernelQuotes quotes) {
  bool inside = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quotes == KernelQuotes::special) inside = !inside;
    if (!inside && kBlanks.find(line[i]) != std::string_view::npos) return i;
  }
  return line.size();
}

// Without the quotes around it; the one at the end may be missing, as the kernel has it.
std::string_view unquoted(std::string_view text) {
  if (!text.starts_with('"')) return text;
  text.remove_prefix(1);
  if (text.ends_with('"')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::string> read_kernel_command_line(const std::string& path) {
  constexpr std::size_t kMost = 64UL << 10;
  std::error_code ignored;
  std::string line = read_bytes(path, kMost);
  // An empty one is there all the same.
  if (line.empty() && !std::filesystem::exists(path, ignored))
    return fail(Errc::usage_option, "--cmdline " + path + ": it cannot be read",
                "name a file that holds a kernel command line");
  return line;
}

std::vector<KernelWord> split_kernel_command_line(std::string_view line, KernelQuotes quotes) {
  std::vector<KernelWord> words;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return words;
    const auto end = end_of_word(line, quotes);
    auto word = line.substr(0, end);
    line.remove_prefix(end);
    const bool special = quotes == KernelQuotes::special;
    if (special) word = unquoted(word);
    const auto equals = word.find('=');
    KernelWord found{std::string(word.substr(0, equals)), std::nullopt};
    if (equals != std::string_view::npos) {
      const auto value = word.substr(equals + 1);
      found.value = std::string(special ? unquoted(value) : value);
    }
    words.push_back(std::move(found));
  }
}

}  // namespace ingot::agent
