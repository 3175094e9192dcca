/// OSImage manifests: which image, by which checksum, as the platform's catalog describes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// What ingot needs of an OSImage (management.loft.sh/v1). The display name, description, owner and
/// access rules are passed over: they decide who may use an image, not what is on it.
struct OsImage {
  std::string name;          ///< metadata.name
  std::string url;           ///< metal3.vcluster.com/image-url
  ChecksumRequest checksum;  ///< …/image-checksum and …/image-checksum-type
};

/// Reads the text of a manifest, YAML or JSON; `file` is for messages.
///
/// Strict where a mistake would pick another image: exactly one document, of the right apiVersion
/// and kind, with a name and a URL; every property a string; a checksum type that is known and does
/// not contradict the checksum. Unknown fields and properties are passed over, as the platform adds
/// some.
/// Errors: usage.manifest: "FILE:LINE: spec.properties[…]: …".
Result<OsImage> parse_os_image(std::string_view text, std::string_view file);

/// Reads a manifest from a file ("-": standard input), 1 MiB at most. Errors: usage.manifest.
Result<OsImage> load_os_image(const std::string& path);

}  // namespace ingot::agent
