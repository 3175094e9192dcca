/// A checksum as Metal3 and Ironic take it: without a type in front of the value.
#pragma once

#include <optional>
#include <string>

#include "disk/core/checksum.hpp"

namespace ingot::agent {

struct PublishedChecksum {
  std::string value_or_url;
  std::optional<DigestType> type;  ///< nothing: of a checksum file's URL, to be found out
};

/// `request` is valid and not empty.
[[nodiscard]] inline PublishedChecksum published(const ChecksumRequest& request) {
  if (is_checksum_url(request.value_or_url)) return {request.value_or_url, request.type};
  const auto digest = parse_checksum(request.value_or_url, request.type);
  if (!digest) return {request.value_or_url, request.type};
  return {digest->hex, digest->type};
}

}  // namespace ingot::agent
