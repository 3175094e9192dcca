#include "agent/reference/allowed_values.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

std::string complaint(const std::string& value, const std::vector<std::string>& values) {
  if (value.empty() || std::ranges::count(values, value) > 0) return {};
  if (values.size() == 2)
    return fmt::format("'{}' is neither {} nor {}", value, values[0], values[1]);
  return fmt::format("'{}' is none of {}", value, fmt::join(values, ", "));
}

// A validator's name keeps the values: a description would be shown by --help after the type.
std::string name_of(const std::vector<std::string>& values) {
  return fmt::format("{}", fmt::join(values, "|"));
}

}  // namespace

void allow_only(CLI::Option& option, const std::vector<std::string>& values) {
  option.check(
      CLI::Validator([values](const std::string& value) { return complaint(value, values); },
                     std::string(), name_of(values)));
}

void suggest(CLI::Option& option, const std::vector<std::string>& values) {
  option.check(CLI::Validator([](const std::string&) { return std::string(); }, std::string(),
                              name_of(values)));
}

std::vector<std::string> known_values(CLI::Option& option) {
  try {
    return split(option.get_validator(0)->get_name(), '|');
  } catch (const CLI::OptionNotFound&) {
    return {};
  }
}

}  // namespace ingot::agent
