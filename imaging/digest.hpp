/// Digests of the image as served: their computation (OpenSSL EVP).
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

}  // namespace ingot::imaging
