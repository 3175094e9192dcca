/// Manifests and indexes of a registry: read, and the one layer chosen that is a disk image.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/checksum.hpp"
#include "disk/core/error.hpp"

namespace ingot::imaging {

/// The machine that an image is for, in the words of the OCI Image Specification (those of Go).
struct Platform {
  std::string os = "linux";
  std::string architecture;  ///< "amd64", "arm64"
  std::string variant;       ///< "v7"; empty: any
};

/// The one that this program was built for. `variant` is empty.
Platform this_platform();

/// Reads "linux/arm64" or "linux/arm/v7". Errors: usage.option.
Result<Platform> parse_platform(std::string_view text);

/// What a manifest or an index refers to.
struct Descriptor {
  std::string media_type;
  Digest digest;           ///< sha256 or sha512
  std::uint64_t size = 0;  ///< bytes
  Platform platform;       ///< empty where nothing is said
  std::string title;       ///< annotation org.opencontainers.image.title: a file name
  std::string disk_type;   ///< annotation disktype, by which machine images are told apart
};

struct Manifest {
  bool is_index = false;
  std::vector<Descriptor> entries;  ///< of an index: manifests; else the layers
};

/// Reads a manifest or an index: OCI Image Specification 1.1, or Docker's Image Manifest 2, schema
/// 2. `text` is hostile; callers limit its length.
/// Errors: image.corrupt, image.unsupported (Docker's schema 1, an algorithm we do not have).
Result<Manifest> parse_manifest(std::string_view text);

/// The index's manifest for `wanted`: the only entry, where it names no platform; else by operating
/// system, architecture and, where both name one, variant. Of several, the one whose disk type is
/// qcow2, or raw. Errors: image.unsupported, with the list of what there is.
Result<Descriptor> choose_manifest(const Manifest& index, const Platform& wanted);

/// The manifest's layer that is the disk image: the only one; else the only one whose title or
/// media type is a disk image's; else the one that is larger than all others together (a container
/// disk that was built on another image). Errors: image.unsupported, with the list of layers.
Result<Descriptor> choose_layer(const Manifest& manifest);

}  // namespace ingot::imaging
