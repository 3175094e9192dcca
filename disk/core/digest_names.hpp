/// Names of digest algorithms in text that people write, those that ingot does not verify included.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace ingot {

/// One mention of an algorithm.
struct NamedAlgorithm {
  std::string_view name;    ///< as messages say it: "sha512", "blake2b"; lives for ever
  std::size_t digits = 0;   ///< its value's hexadecimal digits; 0: several are usual
  bool any_length = false;  ///< `digits` are only the usual ones
  std::size_t begin = 0;    ///< where in the text it is named
  std::size_t end = 0;

  /// Whether a value of that many digits can be this algorithm's.
  [[nodiscard]] bool fits(std::size_t count) const { return any_length || digits == count; }
  /// Whether a value of that many digits usually is this algorithm's, or may well be.
  [[nodiscard]] bool suggests(std::size_t count) const { return digits == 0 || digits == count; }
};

/// The algorithms that `text` names as words of their own ("SHA-512", "sha256sum", "B2SUMS"), in
/// order. Linear in the text's length.
std::vector<NamedAlgorithm> algorithms_in(std::string_view text);

/// The same for the name of a checksum file, where "b2" and "b3" as extensions ("x.raw.b2") are
/// BLAKE2b and BLAKE3 too. In prose they may be anything.
std::vector<NamedAlgorithm> algorithms_in_file_name(std::string_view name);

/// The algorithm that a value of that many digits is where nothing says otherwise; or "".
std::string_view usual_algorithm(std::size_t digits) noexcept;

}  // namespace ingot
