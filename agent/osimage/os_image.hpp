/// OSImage: which image, by which checksum, and who may use it, as the platform's catalog says.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/osimage/access.hpp"
#include "agent/osimage/manifest.hpp"
#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

inline constexpr std::string_view kImageUrl = "metal3.vcluster.com/image-url";
inline constexpr std::string_view kImageChecksum = "metal3.vcluster.com/image-checksum";
inline constexpr std::string_view kImageChecksumType = "metal3.vcluster.com/image-checksum-type";

/// A property, and the line of its manifest that it stands in.
struct ImageProperty {
  std::string name, value;
  int line = 0;
};

/// An OSImage.
struct OsImage {
  std::string name;  ///< metadata.name
  std::string display_name, description;
  std::vector<ImageProperty> properties;  ///< all, in their order, other providers' included
  AccessRules access;
  std::string url;             ///< of Metal3's properties; "": it is for another provider alone
  ChecksumRequest checksum;    ///< of Metal3's properties
  std::string other_provider;  ///< "kubevirt": where `url` is ""
  std::string file;            ///< where it was read, for messages
  int line = 0;                ///< of metadata.name
};

/// Reads one. Errors: usage.manifest. What `on_warning` is told: unknown keys in spec.
///
/// Strict where a mistake would pick another image: apiVersion and kind; every property a string; a
/// URL (unless it is an image of another provider); a checksum type that is known and does not
/// contradict the checksum; access rules.
Result<OsImage> read_os_image(const Manifest& manifest, const OnWarning& on_warning);

/// The one OSImage of a text, for Metal3; `file` is for messages. Errors: usage.manifest, also when
/// there are several, or it is one that only another provider can use. Other kinds beside it are
/// passed over.
Result<OsImage> parse_os_image(std::string_view text, std::string_view file,
                               const OnWarning& on_warning = {});

/// The same of a file ("-": standard input), 1 MiB at most. Errors: usage.manifest.
Result<OsImage> load_os_image(const std::string& path, const OnWarning& on_warning = {});

/// Fails where Metal3 asks for an image that only another provider can use. Errors: usage.manifest.
Result<void> must_serve_metal3(const OsImage& image);

/// URL and checksum of Metal3's properties, which may be those of a whole chain: `refuse` makes the
/// error of a property's name and what is wrong with it.
using RefuseProperty =
    std::function<tl::unexpected<Error>(std::string_view property, std::string_view why)>;
struct ImageSource {
  std::string url;
  ChecksumRequest checksum;
};
/// Errors: those that `refuse` makes: no URL, not one of http, https, file or oci, an empty
/// checksum, an unknown type, a checksum that contradicts its type, a type without a checksum.
Result<ImageSource> read_image_source(
    const std::function<const std::string*(std::string_view)>& find, const RefuseProperty& refuse);

}  // namespace ingot::agent
