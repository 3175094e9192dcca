/// resolve_reference(): from an image's name in a registry to the blob that is the image.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"
#include "disk/core/progress.hpp"
#include "imaging/source.hpp"

namespace ingot::imaging {

/// Where an image's bytes are, and what they are.
struct ReferencedImage {
  std::string url;         ///< the blob; holds the reference's userinfo
  Digest digest;           ///< of the blob as served
  std::uint64_t size = 0;  ///< bytes
  Digest manifest;         ///< of what the reference led to: what to pin
  /// Nobody on the way can have changed the digest: the reference names the manifest's, or it came
  /// over https.
  bool untouched = false;
};

/// Asks the registry for the manifest, through an index if it is one, holds what it sends against
/// the digests on the way, and chooses the layer for `transfer.platform`. Afterwards `transfer` has
/// a login that the registry's blobs can be fetched with, unless it has an authorization.
/// `listener` is told about retries.
/// Errors: usage.option (reference, platform), source.*, checksum.mismatch (another manifest than
/// the digest says), image.corrupt, image.unsupported.
Result<ReferencedImage> resolve_reference(std::string_view reference, TransferOptions& transfer,
                                          std::stop_token stop, JobListener* listener = nullptr);

}  // namespace ingot::imaging
