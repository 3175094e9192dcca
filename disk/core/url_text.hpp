/// URLs as text: shown without their secrets, their paths, and which of them name images in
/// registries.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ingot {

/// `url` without its credentials: userinfo becomes "***", and so does the value of every query
/// parameter (signed URLs carry secrets there). Text that is no URL comes back as it is.
std::string redacted(std::string_view url);

/// The path of `url`, percent-decoded, without query or fragment; text that is no URL as it is.
std::string url_path(std::string_view url);

/// Whether `url` names an image in a registry, which knows its digest: its scheme, in any case, is
/// oci or docker, or one of them with "+http", for a registry without TLS.
bool is_image_reference(std::string_view url) noexcept;

/// Whether one of them is such a reference: then no checksum is needed beside them.
bool any_image_reference(std::span<const std::string> urls) noexcept;

/// Whether an image may be there: an image reference, or a URL whose scheme is http, https or file.
bool is_image_url(std::string_view url) noexcept;

}  // namespace ingot
