#include "imaging/checksum_lines.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "disk/core/lower_case.hpp"

namespace ingot::imaging {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
constexpr std::string_view kBlanks = " \t";
constexpr std::size_t kFewWords = 3;

std::string_view trim_left(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}
std::string_view trim_right(std::string_view text) {
  const auto last = text.find_last_not_of(kBlanks);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}
std::string_view trim(std::string_view text) {
  return trim_left(trim_right(text));
}
bool is_word(std::string_view text) {
  return !text.empty() && text.find_first_of(kBlanks) == std::string_view::npos;
}
// "sha256" for "SHA256" and OpenSSL's "SHA2-256".
std::string type_of_tag(std::string_view tag) {
  std::string type = lower_case(tag);
  if (type.starts_with("sha2-")) type.erase(3, 2);
  std::erase(type, '-');
  return type;
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
std::optional<ListedChecksum> parse_bsd(std::string_view line) {
  const auto equals = line.rfind('=');
  const auto open = line.find('(');
  if (equals == std::string_view::npos || open == std::string_view::npos || open > equals)
    return std::nullopt;
  const std::string_view before = trim_right(line.substr(0, equals));
  const std::string_view hex = trim(line.substr(equals + 1));
  const std::string_view tag = trim_right(line.substr(0, open));
  if (!before.ends_with(')') || before.size() < open + 2 || !is_word(tag) || hex.empty() ||
      hex.find_first_not_of(kHexDigits) != std::string_view::npos)
    return std::nullopt;
  return ListedChecksum{std::string(before.substr(open + 1, before.size() - open - 2)),
                        lower_case(hex), type_of_tag(tag)};
}

// "hex  name", "hex *name", and with other blanks between; or the value alone.
std::optional<ListedChecksum> parse_gnu(std::string_view line) {
  const std::size_t digits = std::min(line.find_first_not_of(kHexDigits), line.size());
  if (digits < 8) return std::nullopt;
  std::string_view rest = line.substr(digits);
  ListedChecksum entry{{}, lower_case(line.substr(0, digits)), {}};
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

std::optional<ListedChecksum> parse_one_line(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  auto entry = parse_bsd(line);
  if (!entry) entry = parse_gnu(line);
  if (entry && escaped) entry->name = unescaped(entry->name);
  return entry;
}

// Groups of 2, 4 or 8 digits, all of one size, as gpg prints a digest.
struct Groups {
  std::string hex;
  std::size_t size = 0;
};
std::optional<Groups> parse_groups(std::string_view text) {
  Groups groups;
  for (text = trim(text); !text.empty(); text = trim_left(text)) {
    const std::size_t size = std::min(text.find_first_of(kBlanks), text.size());
    if (groups.size == 0 && (size == 2 || size == 4 || size == 8)) groups.size = size;
    if (size != groups.size ||
        text.substr(0, size).find_first_not_of(kHexDigits) != std::string_view::npos)
      return std::nullopt;
    groups.hex += lower_case(text.substr(0, size));
    text.remove_prefix(size);
  }
  if (groups.size == 0) return std::nullopt;
  return groups;
}

// The first line of a digest as gpg prints it: "name: GROUPS", "name: TYPE = GROUPS", and both
// without the name.
struct GpgDigest {
  ListedChecksum entry;
  std::size_t group_size = 0;
};
std::optional<GpgDigest> parse_gpg(std::string_view line) {
  GpgDigest out;
  // Nothing behind the name has a colon, so the last one ends it.
  if (const auto colon = line.rfind(':'); colon != std::string_view::npos) {
    out.entry.name = line.substr(0, colon);
    line.remove_prefix(colon + 1);
  }
  if (const auto equals = line.find('='); equals != std::string_view::npos) {
    const std::string_view tag = trim(line.substr(0, equals));
    if (!is_word(tag)) return std::nullopt;
    out.entry.type = type_of_tag(tag);
    line.remove_prefix(equals + 1);
  }
  auto groups = parse_groups(line);
  if (!groups || groups->hex.size() == groups->size) return std::nullopt;  // one is any number
  out.entry.hex = std::move(groups->hex);
  out.group_size = groups->size;
  return out;
}

// "# disk.raw: 3 bytes", as Fedora writes above each line; the name says nothing about algorithms.
bool is_size_of_file(std::string_view remark) {
  const auto colon = remark.find(": ");
  if (colon == std::string_view::npos) return false;
  const std::string_view name = remark.substr(0, colon);
  const std::string_view size = remark.substr(colon + 2);
  const auto digits = size.find_first_not_of("0123456789");
  return is_word(name) && name.find('.') != std::string_view::npos &&
         digits != std::string_view::npos && digits > 0 && size.substr(digits) == " bytes";
}

// Whether `remark` begins with that name as a word: "SHA512 HASH" and "sha256sum:" do,
// "sha3-tool.raw is new" and "sha256/disk.raw" begin with a file's name.
bool begins_with(std::string_view remark, const NamedAlgorithm& named) {
  if (named.begin > 0) return false;
  std::string_view rest = remark.substr(named.end);
  rest.remove_prefix(std::min(
      rest.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), rest.size()));
  return rest.empty() ||
         std::string_view(" \t:,;=()[]{}<>#*\"'").find(rest.front()) != std::string_view::npos;
}

class Reader {
 public:
  void read(std::string_view line) {
    const std::string_view text = trim_left(line);
    if (continues(line)) return;
    end_gpg();
    const std::string name_above = std::exchange(name_above_, {});
    if (text.empty()) return;
    if (text.front() == '#') return remark(text);
    auto entry = parse_one_line(text);
    if (entry && entry->hex.size() >= kShortestDigest) return add(std::move(*entry));
    if ((gpg_ = parse_gpg(text))) {
      if (gpg_->entry.name.empty()) gpg_->entry.name = name_above;
      return;
    }
    if (entry) return add(std::move(*entry));  // a crc32 and the like: for the message only
    remark(text);
    // A long name has a line of its own. "SHA256:" is no name.
    const std::string_view name = trim_right(text);
    if (!name.ends_with(':')) return;
    const auto named = algorithms_in(name);
    if (named.empty() || named.front().begin > 0 || named.front().end + 1 < name.size())
      name_above_ = name.substr(0, name.size() - 1);
  }

  ChecksumLines finish() && {
    end_gpg();
    return std::move(lines_);
  }

 private:
  // Whether the line goes on with the groups of the digest above; takes them if so.
  bool continues(std::string_view line) {
    if (!gpg_ || line.empty() || kBlanks.find(line.front()) == std::string_view::npos) return false;
    const auto more = parse_groups(line);
    if (!more || more->size != gpg_->group_size) return false;
    gpg_->entry.hex += more->hex;
    return true;
  }

  void end_gpg() {
    auto gpg = std::exchange(gpg_, std::nullopt);
    // "Date: 20 24" is no digest.
    if (gpg && gpg->entry.hex.size() >= kShortestDigest) add(std::move(gpg->entry));
  }

  void add(ListedChecksum entry) {
    entry.own_type = !entry.type.empty();
    if (!entry.own_type && heading_ && heading_->fits(entry.hex.size()))
      entry.type = heading_->name;
    lines_.entries.push_back(std::move(entry));
  }

  void remark(std::string_view text) {
    text = trim(text.substr(std::min(text.find_first_not_of("#*=-/;[( \t"), text.size())));
    if (is_size_of_file(text)) return;
    const auto named = algorithms_in(text);
    if (named.empty()) return;
    bool several = false;
    for (const auto& algorithm : named) {
      several |= algorithm.name != named.front().name;
      const auto known = std::find_if(lines_.mentioned.begin(), lines_.mentioned.end(),
                                      [&](const auto& m) { return m.name == algorithm.name; });
      if (known == lines_.mentioned.end()) lines_.mentioned.push_back(algorithm);
    }
    // "SHA512 HASH", "SHA256 checksums of …" and "Hash: SHA256" say what follows; prose that
    // mentions an algorithm somewhere may say anything.
    const auto words = 1 + std::count(text.begin(), text.end(), ' ');
    if (!several && (begins_with(text, named.front()) ||
                     (named.front().end == text.size() && std::cmp_less_equal(words, kFewWords))))
      heading_ = named.front();
    else
      heading_.reset();
  }

  ChecksumLines lines_;
  std::optional<NamedAlgorithm> heading_;
  std::optional<GpgDigest> gpg_;  // not complete yet
  std::string name_above_;
};

}  // namespace

ChecksumLines read_checksum_lines(std::string_view list) {
  enum class Part { text, armour_head, signature } part = Part::text;
  bool dash_escaped = false;
  Reader reader;
  while (!list.empty()) {
    const auto end = std::min(list.find('\n'), list.size());
    std::string_view line = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("-----BEGIN PGP SIGNED MESSAGE-----")) {
      part = Part::armour_head;  // "Hash: …" lines up to an empty one: of the signature, not ours
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
    reader.read(line);
  }
  return std::move(reader).finish();
}

}  // namespace ingot::imaging
