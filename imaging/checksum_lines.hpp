/// The lines of a checksum file, in every form that publishers and their tools write.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/digest_names.hpp"

namespace ingot::imaging {

inline constexpr std::size_t kShortestDigest = 32;  ///< md5's digits; shorter ones are no digests

/// A line (or, as gpg prints it, several) that says what a checksum is.
struct ListedChecksum {
  std::string name;       ///< as listed; empty: the value alone
  std::string hex;        ///< lower case
  std::string type;       ///< the algorithm that the line or a heading above it names, or empty
  bool own_type = false;  ///< the line itself names it
};

struct ChecksumLines {
  std::vector<ListedChecksum> entries;
  std::vector<NamedAlgorithm> mentioned;  ///< anywhere outside the entries, each once
};

/// Reads GNU's lines ("<hex>  name", "<hex> *name"), BSD's ("SHA256 (name) = <hex>"), what
/// `gpg --print-md` and `--print-mds` print (groups of digits, over several lines), and values that
/// stand alone. Every other line is a remark: one that begins with an algorithm's name is a heading
/// for the values below it, as far as their length fits. The frame of a clear-signed text is passed
/// over.
ChecksumLines read_checksum_lines(std::string_view list);

}  // namespace ingot::imaging
