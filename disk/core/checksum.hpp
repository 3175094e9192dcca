/// Checksums as users and manifests give them: types, values, and what may be written for one.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot {

enum class DigestType { md5, sha256, sha512 };
inline constexpr std::array kDigestTypes{DigestType::md5, DigestType::sha256, DigestType::sha512};

/// "md5", "sha256", "sha512".
std::string_view name(DigestType type) noexcept;

struct Digest {
  DigestType type = DigestType::sha256;
  std::string hex;  ///< lower case
  bool operator==(const Digest&) const = default;
};

/// A checksum as a user gave it: a value or the URL of a checksum file, and the type declared.
struct ChecksumRequest {
  std::string value_or_url;        ///< empty: none given
  std::optional<DigestType> type;  ///< nothing: "auto", by the value's length
};

/// Reads a literal checksum, "<hex>" or "sha256:<hex>": white space around it and upper case are
/// allowed. The type is found by length (32 md5, 64 sha256, 128 sha512); what stands before a colon
/// and what is declared must agree with that.
/// Errors: usage.checksum (not hex, odd length, sha1's or sha384's length or name, contradictions).
Result<Digest> parse_checksum(std::string_view text, std::optional<DigestType> declared);

/// The type called `text` ("auto" and "" give nothing). Errors: usage.checksum.
Result<std::optional<DigestType>> parse_digest_type(std::string_view text);

/// Whether a checksum value is the URL of a checksum file (http, https, file).
bool is_checksum_url(std::string_view value) noexcept;

}  // namespace ingot
