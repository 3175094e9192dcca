/// find_checksum(): one image's checksum out of a list of many. docs/checksums.md has the rules.
#pragma once

#include <optional>
#include <string_view>

#include "imaging/digest.hpp"
#include "imaging/listed_image.hpp"

namespace ingot::imaging {

/// Finds the checksum of `image` in the text of a checksum file (checksum_lines.hpp has the forms).
/// The lines whose names match it best count; in a list without names, its values. A value's type
/// is what its line, a heading above it or the list's own name says, else what its length usually
/// means, unless the list speaks of another algorithm of that length: then `declared` decides.
/// It also decides against all but the line itself, where that leaves no value of its type.
/// Of several types `declared` is taken, or the strongest. Two different values are an error.
/// Errors: checksum.list.
Result<Digest> find_checksum(std::string_view list, const ListedImage& image,
                             std::optional<DigestType> declared);

}  // namespace ingot::imaging
