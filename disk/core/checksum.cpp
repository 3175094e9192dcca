#include "disk/core/checksum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>

#include "disk/core/digest_names.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/printable.hpp"

namespace ingot {
namespace {

constexpr const char* kTypeAdvice = "give an md5 (32 hex digits), sha256 (64) or sha512 (128)";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string quoted(std::string_view text) {
  return '"' + printable(std::as_bytes(std::span(text)), 160) + '"';
}

}  // namespace

std::string_view name(DigestType type) noexcept {
  switch (type) {
    case DigestType::md5:
      return "md5";
    case DigestType::sha256:
      return "sha256";
    case DigestType::sha512:
      return "sha512";
  }
  return "sha256";
}

Result<Digest> parse_checksum(std::string_view text, std::optional<DigestType> declared) {
  const std::string all = lower_case(trimmed(text));
  std::string hex = all;
  std::optional<DigestType> prefix;
  if (const auto colon = all.find(':'); colon != std::string::npos) {
    const std::string_view word = trimmed(std::string_view(all).substr(0, colon));
    for (const auto known : kDigestTypes)
      if (word == name(known)) prefix = known;
    const auto other = algorithms_in(word);
    if (prefix)
      hex = trimmed(std::string_view(all).substr(colon + 1));
    else if (!other.empty() && other.front().begin == 0 && other.front().end == word.size())
      return fail(Errc::usage_checksum,
                  fmt::format("the checksum {} is a {} value, which is not supported", quoted(all),
                              quoted(word)),
                  "use md5:, sha256: or sha512: and the value, or the value alone");
  }
  if (hex.empty())
    return fail(
        Errc::usage_checksum,
        prefix ? fmt::format("the checksum {} has no value", quoted(all)) : "the checksum is empty",
        kTypeAdvice);
  if (hex.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} is not a hexadecimal number", quoted(hex)),
                "give the value (with or without md5:, sha256: or sha512: in front), or the http, "
                "https or file URL of a checksum file");
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::usage_checksum, fmt::format("the checksum {} {}", quoted(all), why),
                kTypeAdvice);
  };
  Digest digest{DigestType::sha256, hex};
  const std::string_view usual = usual_algorithm(hex.size());
  if (usual.empty())
    return refuse(fmt::format("has {} digits, which no supported type has", hex.size()));
  const auto* const type = std::find_if(kDigestTypes.begin(), kDigestTypes.end(),
                                        [&](DigestType known) { return usual == name(known); });
  if (type == kDigestTypes.end())
    return refuse(
        fmt::format("has {0}'s length ({1} digits), and {0} is not supported", usual, hex.size()));
  digest.type = *type;
  if (prefix && declared && *prefix != *declared)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} says {}, but its type was given as {}", quoted(all),
                            name(*prefix), name(*declared)),
                "correct the type, or leave it out");
  if (prefix && *prefix != digest.type)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} says {} but has {}'s length ({} digits)", quoted(all),
                            name(*prefix), name(digest.type), hex.size()),
                "correct what stands before the colon, or leave it out");
  if (declared && *declared != digest.type)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} has {}'s length ({} digits) but its type was given "
                            "as {}",
                            quoted(hex), name(digest.type), hex.size(), name(*declared)),
                "correct the type, or leave it to be found by length (auto)");
  return digest;
}

Result<std::optional<DigestType>> parse_digest_type(std::string_view text) {
  const std::string type = lower_case(trimmed(text));
  if (type.empty() || type == "auto") return std::optional<DigestType>();
  for (const auto known : kDigestTypes)
    if (type == name(known)) return std::optional(known);
  return fail(Errc::usage_checksum,
              fmt::format("the checksum type {} is not supported", quoted(type)),
              "use md5, sha256, sha512 or auto");
}

bool is_checksum_url(std::string_view value) noexcept {
  value = trimmed(value);
  for (const std::string_view scheme : {"http://", "https://", "file://"}) {
    if (value.size() <= scheme.size()) continue;
    if (std::equal(scheme.begin(), scheme.end(), value.begin(), [](char want, char have) {
          return want == have || (have >= 'A' && have <= 'Z' && want == have - 'A' + 'a');
        }))
      return true;
  }
  return false;
}

}  // namespace ingot
