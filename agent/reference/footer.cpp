#include "agent/reference/footer.hpp"

#include <algorithm>
#include <cctype>

#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kGap = "  ";

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// Where the text after a term starts, or npos: "term  text", but no "text.  Text".
std::size_t definition_in(std::string_view line) {
  const auto gap = line.find(kGap);
  if (gap == std::string_view::npos || gap == 0) return std::string_view::npos;
  return line.find_first_not_of(' ', gap);
}

// Appends to the last block if it is of this kind, else to a new one.
template <class List, class Item>
void append(std::vector<FooterBlock>& blocks, List FooterBlock::*kind, Item item) {
  if (blocks.empty() || (blocks.back().*kind).empty()) blocks.emplace_back();
  (blocks.back().*kind).push_back(std::move(item));
}

}  // namespace

std::vector<FooterSection> parse_footer(std::string_view footer) {
  std::vector<FooterSection> sections;
  bool separated = true;
  for (const std::string& line : split(footer, '\n')) {
    if (line.empty()) {
      separated = true;
      continue;
    }
    if (!line.starts_with(kGap)) {
      if (line.ends_with(':'))
        sections.push_back({line.substr(0, line.size() - 1), {}});
      else if (separated || sections.empty())
        sections.push_back({"", {line}});
      else
        sections.back().lines.push_back(line);
    } else if (!sections.empty()) {
      sections.back().lines.push_back(line.substr(kGap.size()));
    }
    separated = false;
  }
  return sections;
}

std::vector<FooterBlock> blocks_of(const FooterSection& section, std::string_view program) {
  std::vector<FooterBlock> blocks;
  const bool examples = section.heading == "Examples";
  for (const std::string& line : section.lines) {
    const bool indented = line.starts_with(' ');
    const auto definition = examples || indented ? std::string::npos : definition_in(line);
    const bool defining = !blocks.empty() && !blocks.back().definitions.empty();
    if (definition != std::string::npos) {
      append(blocks, &FooterBlock::definitions,
             Definition(one_line(line.substr(0, line.find(kGap))), line.substr(definition)));
    } else if (indented && defining) {
      blocks.back().definitions.back().second += ' ' + one_line(line);
    } else if (indented || (examples && line.starts_with(program))) {
      append(blocks, &FooterBlock::verbatim, indented ? line.substr(kGap.size()) : line);
    } else if (!blocks.empty() && !blocks.back().prose.empty() && !examples) {
      blocks.back().prose += ' ' + line;
    } else {
      blocks.push_back({line, {}, {}});
    }
  }
  return blocks;
}

std::vector<Definition> exit_codes_of(const FooterSection& section) {
  std::vector<Definition> codes;
  for (const std::string& line : section.lines) {
    std::size_t from = 0;
    while (from < line.size()) {
      // An entry ends where three blanks and the next number follow.
      std::size_t end = line.find("   ", from);
      const auto number_ends =
          std::find_if_not(line.begin() + static_cast<std::ptrdiff_t>(from), line.end(), is_digit);
      const auto digits = static_cast<std::size_t>(number_ends - line.begin()) - from;
      if (digits > 0 && end == from + digits)
        end = line.find("   ", line.find_first_not_of(' ', end));
      const std::string_view entry = std::string_view(line).substr(from, end - from);
      if (digits > 0)
        codes.emplace_back(entry.substr(0, digits), one_line(entry.substr(digits)));
      else if (!codes.empty())
        codes.back().second += ' ' + one_line(entry);
      from = end == std::string::npos ? line.size() : line.find_first_not_of(' ', end);
    }
  }
  return codes;
}

}  // namespace ingot::agent
