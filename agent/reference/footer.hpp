/// The prose that --help shows after the options, taken apart for a page that is laid out anew.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ingot::agent {

/// What is under one heading: a line at the left edge that ends with ':'. Without a heading: lines
/// at the left edge that are none.
struct FooterSection {
  std::string heading;             ///< without its ':'
  std::vector<std::string> lines;  ///< as they are, the two leading blanks taken off
};

[[nodiscard]] std::vector<FooterSection> parse_footer(std::string_view footer);

/// A term and what is said about it.
using Definition = std::pair<std::string, std::string>;

/// One stretch of a section.
struct FooterBlock {
  std::string prose;                    ///< a paragraph, on one line
  std::vector<std::string> verbatim;    ///< or lines to show as they are
  std::vector<Definition> definitions;  ///< or a list of terms, with two blanks after each term
};

/// Taken apart by the way it is laid out: indented lines are shown as they are, as are those that
/// start with `program` in examples; lines with a wide gap define a term; the rest is prose.
[[nodiscard]] std::vector<FooterBlock> blocks_of(const FooterSection& section,
                                                 std::string_view program);

/// "0 done   1 internal   2 usage", one or several a line; what follows belongs to the last one.
[[nodiscard]] std::vector<Definition> exit_codes_of(const FooterSection& section);

}  // namespace ingot::agent
