#include "imaging/checksum_list.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "disk/core/printable.hpp"
#include "imaging/checksum_lines.hpp"

namespace ingot::imaging {
namespace {

constexpr const char* kAdvice =
    "look at the checksum file in a browser; the URL must lead to the list itself, and the list "
    "must name the image as the image's URL does; or give the value alone";
constexpr const char* kSupported = "use a list of md5, sha256 or sha512 checksums";
constexpr std::size_t kNamesShown = 3;
constexpr std::size_t kTypesShown = 8;  // a list may name any number

std::string shown(std::string_view text) {
  return '"' + printable(std::as_bytes(std::span(text)), 100) + '"';
}

std::optional<DigestType> supported(std::string_view type) {
  for (const auto known : kDigestTypes)
    if (type == name(known)) return known;
  return std::nullopt;
}

// What a list as a whole says about the algorithms of its values.
class Algorithms {
 public:
  Algorithms(const ChecksumLines& lines, const ListedImage& image)
      : mentioned_(lines.mentioned), of_list_(algorithms_in_file_name(image.list_name())) {
    for (const auto& entry : lines.entries)
      if (!entry.type.empty()) named_.emplace(entry.hex.size(), entry.type);
  }

  // The algorithm that the list's own name gives to values of that many digits.
  [[nodiscard]] std::string_view of_list(std::size_t digits) const {
    const auto last = std::find_if(of_list_.rbegin(), of_list_.rend(),
                                   [&](const auto& named) { return named.fits(digits); });
    return last == of_list_.rend() ? std::string_view() : last->name;
  }

  // One that the list speaks of and whose values have the length of `usual`'s; or "".
  [[nodiscard]] std::string_view rival(std::string_view usual, std::size_t digits) const {
    for (const auto& named : mentioned_)
      if (named.name != usual && named.suggests(digits)) return named.name;
    for (auto at = named_.lower_bound({digits, {}}); at != named_.end(); ++at) {
      if (at->first != digits) break;
      if (at->second != usual) return at->second;
    }
    return {};
  }

 private:
  const std::vector<NamedAlgorithm>& mentioned_;
  const std::vector<NamedAlgorithm> of_list_;
  std::set<std::pair<std::size_t, std::string>> named_;
};

// Chooses one value among the lines that are about the image.
class Choice {
 public:
  Choice(std::string_view image, const Algorithms& algorithms, std::optional<DigestType> declared)
      : image_(shown(image)), algorithms_(algorithms), declared_(declared) {}

  void add(const ListedChecksum& entry) {
    const std::size_t digits = entry.hex.size();
    const std::string_view usual = usual_algorithm(digits);
    std::string_view type = entry.type;
    if (type.empty()) type = algorithms_.of_list(digits);
    const bool named = !type.empty();
    if (!named) type = usual;
    const auto known = supported(type);
    // What the publisher wrote around the line may be about something else; the user knows better.
    if (!entry.own_type && type != usual && declared_ && usual == name(*declared_)) {
      declared_values_.push_back(entry.hex);
      unsupported_.emplace_back(printable(std::as_bytes(std::span(type)), 20));
      return;
    }
    if (!known || type != usual) {  // also "SHA256 (name) = <32 digits>"
      std::string what = type.empty() ? "a value" : printable(std::as_bytes(std::span(type)), 20);
      if (type.empty() || known) what += fmt::format(" of {} digits", digits);
      unsupported_.push_back(std::move(what));
      return;
    }
    const std::string_view rival = named ? std::string_view() : algorithms_.rival(usual, digits);
    if (rival.empty() || declared_ == known)
      values_[*known].push_back(entry.hex);
    else
      unclear_.push_back({*known, rival, digits});
  }
  [[nodiscard]] bool empty() const {
    return values_.empty() && unclear_.empty() && unsupported_.empty();
  }

  [[nodiscard]] Result<Digest> pick() const {
    // A value that the list itself says is of the declared type counts before one that it does not.
    if (declared_ && !values_.contains(*declared_) && !declared_values_.empty())
      return one_of(*declared_, declared_values_);
    if (values_.empty() && unclear_.empty())
      return fail(Errc::checksum_list,
                  fmt::format("the checksum file has only {} for {}, which is not supported",
                              all_types(), image_),
                  kSupported);
    if (declared_ && !values_.contains(*declared_))
      return fail(Errc::checksum_list,
                  fmt::format("the checksum file has no {} for {}, only {}", name(*declared_),
                              image_, all_types()),
                  "correct the type, or leave it to be found (auto)");
    if (values_.empty()) return tl::unexpected(unclear(unclear_.front()));
    const auto& [type, hexes] = declared_ ? *values_.find(*declared_) : *values_.rbegin();
    return one_of(type, hexes);  // the strongest, unless one was declared
  }

 private:
  // A value that may be of two algorithms.
  struct Unclear {
    DigestType usual;
    std::string_view rival;
    std::size_t digits;
  };

  [[nodiscard]] Result<Digest> one_of(DigestType type,
                                      const std::vector<std::string>& hexes) const {
    for (const auto& hex : hexes)
      if (hex != hexes.front())
        return fail(Errc::checksum_list,
                    fmt::format("the checksum file is ambiguous: it has {} and {} for {}",
                                hexes.front(), hex, image_),
                    "give the value alone, or a list with one line for the image");
    return Digest{type, hexes.front()};
  }

  [[nodiscard]] Error unclear(const Unclear& value) const {
    return {Errc::checksum_list,
            fmt::format("the checksum file does not say whether its value of {} digits for {} is "
                        "{} or {}",
                        value.digits, image_, name(value.usual),
                        printable(std::as_bytes(std::span(value.rival)), 20)),
            fmt::format("if it is {0}, say so (--image-checksum-type {0}), or give the value alone",
                        name(value.usual))};
  }

  [[nodiscard]] std::string all_types() const {
    std::set<std::string> types(unsupported_.begin(), unsupported_.end());
    for (const auto& [type, hexes] : values_) types.emplace(name(type));
    for (const auto& value : unclear_)
      types.insert(fmt::format("a value of {} digits", value.digits));
    const std::size_t count = std::min(types.size(), kTypesShown);
    return fmt::format(
        "{}{}", fmt::join(types.begin(), std::next(types.begin(), static_cast<long>(count)), ", "),
        types.size() > count ? fmt::format(" and {} more", types.size() - count) : "");
  }

  const std::string image_;
  const Algorithms& algorithms_;
  const std::optional<DigestType> declared_;
  std::map<DigestType, std::vector<std::string>> values_;
  std::vector<std::string> declared_values_;  // of the declared type's length, not said to be of it
  std::vector<Unclear> unclear_;
  std::vector<std::string> unsupported_;
};

Error not_listed(const std::vector<ListedChecksum>& entries, std::string_view image) {
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
          fmt::format("the checksum file has no line for {}; it names {}{}", shown(image),
                      fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : ""),
          kAdvice};
}

bool is_digest(const ListedChecksum& entry) {
  return entry.hex.size() >= kShortestDigest;
}

// Whether all checksums are of one file, which the image may be another name of.
bool names_one_alias(const std::vector<ListedChecksum>& entries, const ListedImage& image) {
  const ListedChecksum* first = nullptr;
  for (const auto& entry : entries) {
    if (!is_digest(entry)) continue;
    if (first == nullptr) first = &entry;
    if (entry.name != first->name) return false;
  }
  return first != nullptr && image.may_alias(first->name);
}

}  // namespace

Result<Digest> find_checksum(std::string_view list, const ListedImage& image,
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

  const ChecksumLines lines = read_checksum_lines(list);
  if (lines.entries.empty())
    return fail(Errc::checksum_list,
                fmt::format("the checksum file has no line with a checksum; it starts with {}",
                            shown(list.substr(first, 40))),
                kAdvice);

  const Algorithms algorithms(lines, image);
  std::map<std::size_t, std::vector<const ListedChecksum*>> by_match;
  // A remark may begin with a date or a commit: what is too short counts where nothing else is
  // there.
  const bool digests = std::any_of(lines.entries.begin(), lines.entries.end(), is_digest);
  bool all_bare = true;
  for (const auto& entry : lines.entries) {
    if (!digests || is_digest(entry)) all_bare &= entry.name.empty();
    by_match[image.match(entry.name)].push_back(&entry);
  }
  if (!all_bare && by_match.rbegin()->first == 0 && !names_one_alias(lines.entries, image))
    return tl::unexpected(not_listed(lines.entries, image.shown()));
  const auto& best = all_bare ? by_match.begin()->second : by_match.rbegin()->second;
  const bool digest_of_image =
      std::any_of(best.begin(), best.end(), [](const auto* entry) { return is_digest(*entry); });
  Choice choice(image.shown(), algorithms, declared);
  for (const auto* entry : best)
    if (!digest_of_image || is_digest(*entry)) choice.add(*entry);
  return choice.pick();
}

}  // namespace ingot::imaging
