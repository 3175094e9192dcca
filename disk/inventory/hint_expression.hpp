/// Hint expressions: the small language of root device hints, with Ironic's own oddities.
///
/// An expression is an operator and values ("s== /dev/sda", ">= 100", "<or> sata <or> nvme"), or a
/// value alone. Source: the specs_matcher of oslo.utils and the device_hints of
/// ironic-python-agent, whose documented and undocumented behaviour this has in common, so that a
/// hint chooses the same disk here and there:
///  - both sides are lower-cased, trimmed and percent-encoded before they are compared, so "<in>
///  20"
///    finds a blank ("%20") as well;
///  - "=" means ">=";
///  - what follows a first value is ignored, except after "<or>";
///  - texts are compared as numbers by the numeric operators, and with what is no number they
///  cannot
///    be compared at all;
///  - "<all-in>" can never be satisfied: no attribute of a disk is a list literal.
/// Letters outside ASCII are not lower-cased.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::disk {

/// What a comparison says; `impossible` where Ironic's matcher raises an error.
enum class Comparison { equal, different, impossible };

/// The words of an expression: its operator ("" without one) and values.
struct HintTokens {
  std::string op;
  std::vector<std::string> values;
};

/// Nothing if the text begins as an expression does, but is none ("s==", "= =5").
std::optional<HintTokens> tokenize_hint(std::string_view text);

/// The operator of an expression and the texts between its occurrences, trimmed and lower-cased:
/// all of them, each with its blanks. Nothing if it is blank, or as tokenize_hint().
std::optional<HintTokens> split_hint(std::string_view expression);

/// An expression or a disk's text with its values percent-encoded, so that each is one word.
std::optional<std::string> normalize_hint(std::string_view expression);

/// Whether a disk's text, normalized, satisfies a normalized expression.
Comparison compare_text(const std::string& value, const HintTokens& hint);

/// Whether a disk's size in GiB satisfies an expression.
Comparison compare_size(double gibibytes, const HintTokens& hint);

/// An integer as Python reads it ("+1_000"), or nothing. Too large ones are the largest.
std::optional<long long> parse_integer(std::string_view text);

}  // namespace ingot::disk
