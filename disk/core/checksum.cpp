#include "disk/core/checksum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>

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

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
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
  const std::string hex = lower(trimmed(text));
  if (hex.empty()) return fail(Errc::usage_checksum, "the checksum is empty", kTypeAdvice);
  if (hex.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} is not a hexadecimal number", quoted(hex)),
                "give the value alone, or the http, https or file URL of a checksum file");
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::usage_checksum, fmt::format("the checksum {} {}", quoted(hex), why),
                kTypeAdvice);
  };
  Digest digest{DigestType::sha256, hex};
  switch (hex.size()) {
    case 32:
      digest.type = DigestType::md5;
      break;
    case 64:
      digest.type = DigestType::sha256;
      break;
    case 128:
      digest.type = DigestType::sha512;
      break;
    case 40:
      return refuse("has sha1's length (40 digits), and sha1 is not supported");
    case 56:
      return refuse("has sha224's length (56 digits), and sha224 is not supported");
    case 96:
      return refuse("has sha384's length (96 digits), and sha384 is not supported");
    default:
      return refuse(fmt::format("has {} digits, which no supported type has", hex.size()));
  }
  if (declared && *declared != digest.type)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} has {}'s length ({} digits) but its type was given "
                            "as {}",
                            quoted(hex), name(digest.type), hex.size(), name(*declared)),
                "correct the type, or leave it to be found by length (auto)");
  return digest;
}

Result<std::optional<DigestType>> parse_digest_type(std::string_view text) {
  const std::string type = lower(trimmed(text));
  if (type.empty() || type == "auto") return std::optional<DigestType>();
  for (const auto known : {DigestType::md5, DigestType::sha256, DigestType::sha512})
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
