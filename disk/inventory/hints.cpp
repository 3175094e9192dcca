#include "disk/inventory/hints.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>
#include <string_view>

#include "disk/core/units.hpp"
#include "disk/inventory/attribute.hpp"

namespace ingot::disk {
namespace {

enum class Type { text, size, boolean };

// What a disk has for a hint: one text, or several of which any may satisfy it.
using Values = std::vector<std::string>;

struct Known {
  std::string_view name;
  Type type;
  bool several;  // missing ones are left out; else a missing one reads "none"
  Values (*values)(const Disk&);
};

// Ironic's agent offers all that it knows of serial and wwn. A disk may have several by-path links,
// of which it takes any one.
constexpr std::array<Known, 12> kKnown = {{
    {"name", Type::text, false, [](const Disk& d) { return Values{d.name}; }},
    {"size", Type::size, false, nullptr},
    {"rotational", Type::boolean, false, nullptr},
    {"model", Type::text, false, [](const Disk& d) { return Values{d.model}; }},
    {"vendor", Type::text, false, [](const Disk& d) { return Values{d.vendor}; }},
    {"serial", Type::text, true,
     [](const Disk& d) {
       return Values{d.serial, d.udev_serial_short, d.udev_serial};
     }},
    {"wwn", Type::text, true,
     [](const Disk& d) {
       return Values{d.wwn, d.udev_wwn};
     }},
    {"wwn_with_extension", Type::text, false,
     [](const Disk& d) { return Values{d.wwn_with_extension}; }},
    {"wwn_vendor_extension", Type::text, false,
     [](const Disk& d) { return Values{d.wwn_vendor_extension}; }},
    {"hctl", Type::text, false, [](const Disk& d) { return Values{d.hctl}; }},
    {"by_path", Type::text, false,
     [](const Disk& d) { return d.by_path_links.empty() ? Values{d.by_path} : d.by_path_links; }},
    {"tran", Type::text, false, [](const Disk& d) { return Values{d.transport}; }},
}};

constexpr std::size_t kMostHints = 64;
constexpr std::size_t kLongestValue = 4096;
constexpr std::size_t kMostListed = 20;  // disks, in a message
constexpr std::size_t kLongestShown = 128;
constexpr std::uint64_t kSmallestDefault = 4 * GiB;

const Known* find_known(std::string_view name) {
  const auto* const found = std::ranges::find(kKnown, name, &Known::name);
  return found == kKnown.end() ? nullptr : found;
}

// What a message may hold of a text from outside. One line, whatever it holds.
std::string shown(std::string_view text) {
  std::string out = clean_text(text.substr(0, kLongestShown));
  return text.size() > kLongestShown ? out + "…" : out;
}

// Whether a text means the same in JSON between a shell's single quotes.
bool can_be_copied(const std::string& text) {
  return !text.empty() && text.size() <= kLongestShown && std::ranges::all_of(text, [](char c) {
    return c >= ' ' && c <= '~' && c != '\'' && c != '"' && c != '\\';
  });
}

// "223.6 GiB, ATA Samsung SSD 860"
std::string outline(const Disk& disk) {
  const std::string text = format_bytes(disk.size);
  const std::string what = clean_text(disk.vendor + ' ' + disk.model);
  return what.empty() ? text : text + ", " + shown(what);
}

tl::unexpected<Error> malformed(std::string_view name, const std::string& what) {
  return fail(Errc::usage_hints, fmt::format("root device hint {}: {}", shown(name), what),
              "docs/root-device-hints.md lists the hints and operators with examples");
}

std::string as_text(const HintValue& value) {
  if (const auto* const text = std::get_if<std::string>(&value)) return *text;
  if (const auto* const number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  return std::get<bool>(value) ? "true" : "false";
}

std::string lowered(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::optional<bool> as_boolean(const std::string& given) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  std::string text = lowered(given);
  while (!text.empty() && blank(text.back())) text.pop_back();
  while (!text.empty() && blank(text.front())) text.erase(0, 1);
  for (const char* yes : {"1", "t", "true", "on", "y", "yes"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "false", "off", "n", "no"})
    if (text == no) return false;
  return std::nullopt;
}

Result<HintTokens> parse_text(std::string_view name, const std::string& text) {
  const auto normal = normalize_hint(text);
  if (!normal)
    return malformed(name,
                     fmt::format("'{}' is empty, or an operator without a value", shown(text)));
  auto tokens = tokenize_hint(*normal);
  if (!tokens) return malformed(name, fmt::format("'{}' cannot be understood", shown(text)));
  if (tokens->op.empty()) tokens->op = "s==";
  // What it would compare with is a number; the encoded text has no range any more.
  if (normal->starts_with("<range-in>"))
    return malformed(name, "<range-in> compares numbers, and is for size alone");
  return *std::move(tokens);
}

Result<HintTokens> parse_size_range(const std::string& text) {
  auto tokens = tokenize_hint(lowered(text));
  if (!tokens || tokens->op != "<range-in>" || compare_size(0, *tokens) == Comparison::impossible)
    return malformed("size",
                     fmt::format("'{}' is no range like '<range-in> [ 100 200 )'", shown(text)));
  return *std::move(tokens);
}

Result<HintTokens> parse_size(const std::string& text) {
  const auto parts = split_hint(text);
  if (!parts)
    return malformed("size",
                     fmt::format("'{}' is empty, or an operator without a value", shown(text)));
  if (parts->op == "<range-in>") return parse_size_range(text);
  for (const std::string& value : parts->values) {
    const auto number = parse_integer(value);
    if (!number || *number <= 0)
      return malformed("size", fmt::format("'{}' is no positive integer (of GiB)", shown(value)));
  }
  auto tokens = tokenize_hint(text);
  if (!tokens) return malformed("size", fmt::format("'{}' cannot be understood", shown(text)));
  // An operator that is not in small letters is none, and then no number either.
  if (tokens->op.empty()) tokens->op = "==";
  return *std::move(tokens);
}

std::string in_gib(std::uint64_t size) {
  return fmt::format("{:.6g} GiB", static_cast<double>(size) / static_cast<double>(GiB));
}

}  // namespace

Result<RootDeviceHints> RootDeviceHints::parse(
    const std::vector<std::pair<std::string, HintValue>>& hints) {
  if (hints.size() > kMostHints)
    return fail(Errc::usage_hints, fmt::format("{} root device hints", hints.size()),
                "docs/root-device-hints.md lists those that there are");
  RootDeviceHints parsed;
  for (const auto& [name, value] : hints) {
    const Known* const known = find_known(name);
    if (known == nullptr) {
      std::vector<std::string_view> names;
      for (const Known& one : kKnown) names.push_back(one.name);
      return malformed(name,
                       fmt::format("there is no such hint; there are {}", fmt::join(names, ", ")));
    }
    Hint hint;
    hint.name = name;
    hint.text = as_text(value);
    if (hint.text.size() > kLongestValue) return malformed(name, "its value is too long");
    switch (known->type) {
      case Type::text: {
        if (!std::holds_alternative<std::string>(value))
          return malformed(name, fmt::format("{} is not a string", hint.text));
        INGOT_TRY_ASSIGN(hint.tokens, parse_text(name, hint.text));
        break;
      }
      case Type::size: {
        INGOT_TRY_ASSIGN(hint.tokens, parse_size(hint.text));
        break;
      }
      case Type::boolean: {
        const auto truth = as_boolean(hint.text);
        if (!truth)
          return malformed(name, fmt::format("'{}' is neither true nor false", shown(hint.text)));
        hint.rotational = *truth;
        break;
      }
    }
    parsed.hints_.push_back(std::move(hint));
  }
  return parsed;
}

RootDeviceHints::Verdict RootDeviceHints::judge(const Hint& hint, const Disk& disk) {
  const Known& known = *find_known(hint.name);
  if (known.type == Type::boolean) {
    if (disk.rotational == hint.rotational) return {Comparison::equal, ""};
    return {Comparison::different,
            fmt::format("rotational is {}, not {}", disk.rotational, hint.rotational)};
  }
  if (known.type == Type::size) {
    const auto result =
        compare_size(static_cast<double>(disk.size) / static_cast<double>(GiB), hint.tokens);
    if (result == Comparison::equal) return {result, ""};
    return {result, fmt::format("size is {}, not {}{}", in_gib(disk.size), shown(hint.text),
                                result == Comparison::impossible ? ", which is no number" : "")};
  }
  Values values = known.values(disk);
  const bool missing = std::ranges::all_of(values, &std::string::empty);
  if (known.several)
    std::erase(values, "");
  else if (missing)
    values = {"none"};
  auto worst = Comparison::different;
  for (const std::string& value : values) {
    // A text that begins as an expression and is none cannot be compared with anything.
    const auto normal = normalize_hint(value);
    const auto result = normal ? compare_text(*normal, hint.tokens) : Comparison::different;
    if (result == Comparison::equal) return {result, ""};
    if (result == Comparison::impossible && !known.several) worst = result;
  }
  std::string has;
  for (const std::string& value : values)
    has += fmt::format("{}'{}'", has.empty() ? "" : " or ", shown(value));
  return {worst,
          fmt::format("{} is {}, not {}{}", hint.name, missing ? "unknown" : has, shown(hint.text),
                      worst == Comparison::impossible ? ", and the two cannot be compared" : "")};
}

RootDeviceHints::Verdict RootDeviceHints::judge(const Disk& disk) const {
  for (const Hint& hint : hints_)
    if (Verdict verdict = judge(hint, disk); verdict.comparison != Comparison::equal)
      return verdict;
  return {Comparison::equal, ""};
}

std::string RootDeviceHints::why_not(const Disk& disk) const {
  if (empty())
    return disk.size >= kSmallestDefault ? ""
                                         : fmt::format("size is {}, not at least {}",
                                                       in_gib(disk.size), in_gib(kSmallestDefault));
  return judge(disk).reason;
}

Result<Disk> RootDeviceHints::choose(const std::vector<Disk>& disks) const {
  if (empty()) {
    const Disk* best = nullptr;
    for (const Disk& disk : disks)
      if (disk.size >= kSmallestDefault &&
          (best == nullptr || std::pair(disk.size, std::string_view(disk.name)) <
                                  std::pair(best->size, std::string_view(best->name))))
        best = &disk;
    if (best != nullptr) return *best;
    return no_match(disks);
  }
  for (const Disk& disk : disks) {
    const Verdict verdict = judge(disk);
    if (verdict.comparison == Comparison::equal) return disk;
    // Where Ironic's agent gives up, no later disk is chosen either.
    if (verdict.comparison == Comparison::impossible) break;
  }
  return no_match(disks);
}

// A hint that this disk alone satisfies, as JSON: what it is by before where it is. "" if there is
// none.
std::string RootDeviceHints::only_for(const Disk& disk, const std::vector<Disk>& disks) {
  for (const char* const name :
       {"wwn", "serial", "wwn_with_extension", "by_path", "hctl", "name"}) {
    for (const std::string& value : find_known(name)->values(disk)) {
      if (!can_be_copied(value)) continue;
      const auto hints = parse({{name, value}});
      if (hints && std::ranges::all_of(disks, [&](const Disk& other) {
            return (hints->judge(other).comparison == Comparison::equal) == (&other == &disk);
          }))
        return fmt::format(R"({{"{}": "{}"}})", name, value);
    }
  }
  return "";
}

tl::unexpected<Error> RootDeviceHints::no_match(const std::vector<Disk>& disks) const {
  std::string text =
      empty() ? "no disk is large enough" : "no disk satisfies the root device hints";
  if (disks.empty())
    return fail(Errc::device_no_match, text + ": there is no disk at all",
                "check cables, controller and drivers; `ingot devices` shows what the kernel has");
  text += empty() ? "; there are:" : "; there are, each with the hint that it fails first:";
  for (const Disk& disk : disks | std::views::take(kMostListed)) {
    const std::string reason = why_not(disk);
    text += fmt::format("\n{}: {} ({})", shown(disk.name),
                        reason.empty() ? "not reached, for another could not be compared" : reason,
                        outline(disk));
    const std::string hint = only_for(disk, disks);
    text += hint.empty() ? "; no hint tells it apart" : "; to choose it: " + hint;
  }
  if (disks.size() > kMostListed) text += fmt::format("\nand {} more", disks.size() - kMostListed);
  return fail(Errc::device_no_match, text,
              empty() ? "attach a larger disk, or name one"
                      : "correct the hints; `ingot devices` shows what each disk has");
}

}  // namespace ingot::disk
