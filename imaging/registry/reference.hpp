/// ImageReference: an oci:// or docker:// address taken apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::imaging {

/// An image in a registry that speaks the OCI Distribution protocol. Holds secrets where `base`
/// has userinfo.
struct ImageReference {
  std::string base;              ///< the registry: "https://registry.example:5000", userinfo kept
  std::string repository;        ///< "images/debian"
  std::string tag;               ///< "12"; empty where `digest` decides
  std::optional<Digest> digest;  ///< of the manifest; sha256 or sha512
};

/// Reads SCHEME://HOST[:PORT]/NAME[:TAG][@DIGEST]; the tag is "latest" where there is neither. The
/// registry is asked over https, or over http where the scheme is oci+http or docker+http. For
/// docker:// the host may be left out, as Docker does it: then it is Docker Hub. Names, tags and
/// digests are those of the OCI Distribution Specification 1.1. A tag beside a digest says nothing
/// and is passed over. Errors: usage.option.
Result<ImageReference> parse_image_reference(std::string_view url);

}  // namespace ingot::imaging
