/// What a file says it is, by its first bytes: disk images of all kinds, archives, web pages.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "imaging/image_format.hpp"

namespace ingot::imaging {

/// A disk image format other than raw.
struct ImageMagic {
  std::optional<ImageFormat> format;  ///< nothing: one that ingot does not read
  std::optional<ImageFormat> kin;     ///< the format a user would have declared for it
  std::string description;            ///< "a qcow2 image"
  std::string reason;                 ///< why ingot does not read it; empty if it does
};

/// Recognises every format that qemu would take for something other than raw, whether ingot reads
/// it or not: an image must never mean one thing here and another thing there (CVE-2024-44082).
std::optional<ImageMagic> find_image_magic(std::span<const std::byte> head);

/// Whether `head` starts an HTML page: leading white space, a byte order mark, comments and any
/// case are allowed.
bool looks_like_html(std::span<const std::byte> head);

/// What an archive or compressed file starts with ("a zip archive"), or nothing.
std::optional<std::string> find_packed_magic(std::span<const std::byte> head);

/// Whether `head` starts a zip archive that holds something.
bool starts_zip(std::span<const std::byte> head);

/// What else a server may send in place of an image: "a JSON document", "an XML document", "text".
std::optional<std::string> find_text_kind(std::span<const std::byte> head);

}  // namespace ingot::imaging
