/// Digests of the image as served: their computation (OpenSSL EVP), and checksum files.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::imaging {

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

/// Finds the checksum of `file_name` (the last path component of the image's URL) in the text of a
/// checksum file: GNU ("<hex>  name", "<hex> *name"), BSD ("SHA256 (name) = <hex>"), a single bare
/// value; '#' comments, PGP clear-sign armour and blank lines are passed over. Names are compared
/// literally, an exact name first, then by the last component of "path/name"; two different values
/// for one name are an error. `declared` picks among several types for one name.
/// Errors: checksum.list.
Result<Digest> find_checksum(std::string_view list, std::string_view file_name,
                             std::optional<DigestType> declared);

}  // namespace ingot::imaging
