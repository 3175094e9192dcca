/// Digests of the image as served: their names, the computation (OpenSSL EVP), and what a user may
/// write as a checksum.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::imaging {

enum class DigestType { md5, sha256, sha512 };

/// "md5", "sha256", "sha512".
std::string_view name(DigestType type) noexcept;

struct Digest {
  DigestType type = DigestType::sha256;
  std::string hex;  ///< lower case
  bool operator==(const Digest&) const = default;
};

/// Computes one digest. Not thread-safe; snapshot() leaves it going on.
class Hasher {
 public:
  explicit Hasher(DigestType type);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(std::span<const std::byte> data);
  /// The digest of everything so far.
  [[nodiscard]] Digest snapshot() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A checksum as a user gave it: a value or the URL of a checksum file, and the type declared.
struct ChecksumRequest {
  std::string value_or_url;        ///< empty: none given
  std::optional<DigestType> type;  ///< nothing: "auto", by the value's length
};

/// Reads a literal checksum: white space around it and upper case are allowed. The type is found by
/// length (32 md5, 64 sha256, 128 sha512) unless declared, which must then agree.
/// Errors: usage.checksum (not hex, odd length, sha1's or sha384's length, contradicts `declared`).
Result<Digest> parse_checksum(std::string_view text, std::optional<DigestType> declared);

/// The type called `text` ("auto" and "" give nothing). Errors: usage.checksum.
Result<std::optional<DigestType>> parse_digest_type(std::string_view text);

/// Whether a checksum value is the URL of a checksum file (http, https, file).
bool is_checksum_url(std::string_view value) noexcept;

/// Finds the checksum of `file_name` (the last path component of the image's URL) in the text of a
/// checksum file: GNU ("<hex>  name", "<hex> *name"), BSD ("SHA256 (name) = <hex>"), a single bare
/// value; '#' comments, PGP clear-sign armour and blank lines are passed over. Names are compared
/// literally, an exact name first, then by the last component of "path/name"; two different values
/// for one name are an error. `declared` picks among several types for one name.
/// Errors: checksum.list.
Result<Digest> find_checksum(std::string_view list, std::string_view file_name,
                             std::optional<DigestType> declared);

}  // namespace ingot::imaging
