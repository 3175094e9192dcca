// find_checksum(): one file's checksum out of a list of many, in every form such lists come in.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "disk/core/printable.hpp"
#include "imaging/digest.hpp"

namespace ingot::imaging {
namespace {

constexpr const char* kAdvice =
    "look at the checksum file in a browser; the URL must lead to the list itself, and the list "
    "must name the image as the image's URL does; or give the value alone";
constexpr std::size_t kNamesShown = 3;
constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";

std::string shown(std::string_view text) {
  return '"' + printable(std::as_bytes(std::span(text)), 100) + '"';
}

std::string_view trim_left(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}
std::string_view trim_right(std::string_view text) {
  const auto last = text.find_last_not_of(" \t");
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}
std::string_view last_component(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// One line that says what a checksum is, perhaps of which file, perhaps of which type.
struct Entry {
  std::string name;  // empty: a bare value
  std::string hex;
  std::string type;  // BSD's tag in lower case without '-'; empty: GNU or bare
};

// "sha256" for "SHA256" and OpenSSL's "SHA2-256".
std::string type_of_tag(std::string_view tag) {
  std::string type = lower(tag);
  if (type.starts_with("sha2-")) type.erase(3, 2);
  std::erase(type, '-');
  return type;
}

// The type that a value of that many digits has, supported or not.
std::string type_of_length(std::size_t digits) {
  switch (digits) {
    case 32:
      return "md5";
    case 40:
      return "sha1";
    case 56:
      return "sha224";
    case 64:
      return "sha256";
    case 96:
      return "sha384";
    case 128:
      return "sha512";
    default:
      return {};
  }
}

// GNU coreutils marks a line with a leading backslash when the name in it is escaped.
std::string unescaped(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\' || i + 1 == name.size()) {
      out += name[i];
      continue;
    }
    const char next = name[++i];
    out += next == 'n' ? '\n' : next == 'r' ? '\r' : next;
  }
  return out;
}

// "TYPE (name) = hex"; the name may hold anything, so the last ")" followed by "=" counts.
std::optional<Entry> parse_bsd(std::string_view line) {
  const auto equals = line.rfind('=');
  const auto open = line.find('(');
  if (equals == std::string_view::npos || open == std::string_view::npos || open > equals)
    return std::nullopt;
  const std::string_view before = trim_right(line.substr(0, equals));
  const std::string_view hex = trim_right(trim_left(line.substr(equals + 1)));
  const std::string_view tag = trim_right(line.substr(0, open));
  if (!before.ends_with(')') || before.size() < open + 2 || tag.empty() ||
      tag.find_first_of(" \t") != std::string_view::npos || hex.empty() ||
      hex.find_first_not_of(kHexDigits) != std::string_view::npos)
    return std::nullopt;
  return Entry{std::string(before.substr(open + 1, before.size() - open - 2)), lower(hex),
               type_of_tag(tag)};
}

// "hex  name", "hex *name", and with other blanks between; or the value alone.
std::optional<Entry> parse_gnu(std::string_view line) {
  const std::size_t digits = std::min(line.find_first_not_of(kHexDigits), line.size());
  if (digits < 8) return std::nullopt;
  std::string_view rest = line.substr(digits);
  Entry entry{{}, lower(line.substr(0, digits)), {}};
  if (trim_left(rest).empty()) return entry;
  if (rest.front() != ' ' && rest.front() != '\t') return std::nullopt;
  // Exactly as coreutils writes it, so that a name may begin with a blank or a star.
  if (rest.starts_with("  ") || rest.starts_with(" *")) {
    rest.remove_prefix(2);
  } else {
    rest = trim_left(rest);
    if (rest.starts_with('*')) rest.remove_prefix(1);
  }
  entry.name = rest;
  return entry;
}

std::optional<Entry> parse_line(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  auto entry = parse_bsd(line);
  if (!entry) entry = parse_gnu(line);
  if (entry && escaped) entry->name = unescaped(entry->name);
  return entry;
}

// Cuts the text into lines and passes over what OpenPGP's clear-signing puts around a list.
std::vector<Entry> parse_list(std::string_view list) {
  enum class Part { text, armour_head, signature } part = Part::text;
  bool dash_escaped = false;
  std::vector<Entry> entries;
  while (!list.empty()) {
    const auto end = std::min(list.find('\n'), list.size());
    std::string_view line = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("-----BEGIN PGP SIGNED MESSAGE-----")) {
      part = Part::armour_head;  // "Hash: …" lines up to an empty one
      dash_escaped = true;
      continue;
    }
    if (line.starts_with("-----BEGIN PGP SIGNATURE-----")) {
      part = Part::signature;
      continue;
    }
    if (line.starts_with("-----END PGP SIGNATURE-----")) {
      part = Part::text;
      continue;
    }
    if (part == Part::armour_head && trim_left(line).empty()) part = Part::text;
    if (part != Part::text) continue;
    if (dash_escaped && line.starts_with("- ")) line.remove_prefix(2);
    line = trim_left(line);
    if (line.empty() || line.front() == '#') continue;
    if (auto entry = parse_line(line)) entries.push_back(std::move(*entry));
  }
  return entries;
}

// Chooses one value among the lines that are about the file.
class Choice {
 public:
  Choice(std::string_view file_name, std::optional<DigestType> declared)
      : file_(shown(file_name)), declared_(declared) {}

  void add(const Entry& entry) {
    const std::string by_length = type_of_length(entry.hex.size());
    const std::string type = entry.type.empty() ? by_length : entry.type;
    for (const auto known : {DigestType::md5, DigestType::sha256, DigestType::sha512}) {
      if (type != name(known)) continue;
      if (type != by_length) break;  // "SHA256 (name) = <32 digits>"
      values_[known].push_back(entry.hex);
      return;
    }
    std::string what = type.empty() ? "a value" : printable(std::as_bytes(std::span(type)), 20);
    if (type.empty() || type != by_length) what += fmt::format(" of {} digits", entry.hex.size());
    unsupported_.push_back(std::move(what));
  }
  [[nodiscard]] bool empty() const { return values_.empty() && unsupported_.empty(); }

  [[nodiscard]] Result<Digest> pick() const {
    if (values_.empty())
      return fail(Errc::checksum_list,
                  fmt::format("the checksum file has only {} for {}, which is not supported",
                              fmt::join(unsupported_, ", "), file_),
                  "use a list of md5, sha256 or sha512 checksums");
    auto chosen = values_.rbegin();  // the strongest
    if (declared_) {
      const auto wanted = values_.find(*declared_);
      if (wanted == values_.end())
        return fail(Errc::checksum_list,
                    fmt::format("the checksum file has no {} for {}, only {}", name(*declared_),
                                file_, name(values_.rbegin()->first)),
                    "correct the type, or leave it to be found by length (auto)");
      chosen = std::make_reverse_iterator(std::next(wanted));
    }
    const auto& [type, hexes] = *chosen;
    for (const auto& hex : hexes)
      if (hex != hexes.front())
        return fail(Errc::checksum_list,
                    fmt::format("the checksum file is ambiguous: it has {} and {} for {}",
                                hexes.front(), hex, file_),
                    "give the value alone, or a list with one line for the image");
    return Digest{type, hexes.front()};
  }

 private:
  const std::string file_;
  const std::optional<DigestType> declared_;
  std::map<DigestType, std::vector<std::string>> values_;
  std::vector<std::string> unsupported_;
};

Error not_listed(const std::vector<Entry>& entries, std::string_view file_name) {
  std::vector<std::string> names;
  std::size_t more = 0;
  for (const auto& entry : entries) {
    if (entry.name.empty()) continue;
    if (names.size() < kNamesShown)
      names.push_back(shown(entry.name));
    else
      ++more;
  }
  return {Errc::checksum_list,
          fmt::format("the checksum file has no line for {}; it names {}{}", shown(file_name),
                      fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : ""),
          kAdvice};
}

}  // namespace

Result<Digest> find_checksum(std::string_view list, std::string_view file_name,
                             std::optional<DigestType> declared) {
  if (list.starts_with("\xef\xbb\xbf")) list.remove_prefix(3);
  const auto first = list.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos)
    return fail(Errc::checksum_list, "the checksum file is empty", kAdvice);
  if (list[first] == '<')
    return fail(
        Errc::checksum_list,
        fmt::format("the checksum file is a web page, not a list of checksums; it starts with {}",
                    shown(list.substr(first, 40))),
        kAdvice);

  const std::vector<Entry> entries = parse_list(list);
  if (entries.empty())
    return fail(Errc::checksum_list,
                fmt::format("the checksum file has no line with a checksum; it starts with {}",
                            shown(list.substr(first, 40))),
                kAdvice);

  Choice exact(file_name, declared);
  Choice by_component(file_name, declared);
  Choice bare(file_name, declared);
  bool all_bare = true;
  for (const auto& entry : entries) {
    if (entry.name.empty()) {
      bare.add(entry);
      continue;
    }
    all_bare = false;
    if (file_name.empty()) continue;
    // Blanks at a line's end are nearly never a part of the name, but they can be.
    if (entry.name == file_name || trim_right(entry.name) == file_name)
      exact.add(entry);
    else if (last_component(entry.name) == file_name ||
             last_component(trim_right(entry.name)) == file_name)
      by_component.add(entry);
  }
  if (!exact.empty()) return exact.pick();
  if (!by_component.empty()) return by_component.pick();
  if (all_bare) return bare.pick();
  return tl::unexpected(not_listed(entries, file_name));
}

}  // namespace ingot::imaging
