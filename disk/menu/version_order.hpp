/// The order of versions, by which boot loaders find the newest kernel.
#pragma once

#include <compare>
#include <string_view>

namespace ingot::disk {

/// Compares two versions; `less` is the older one. Any bytes are a version.
/// Source: UAPI.10, Version Format Specification.
[[nodiscard]] std::weak_ordering compare_versions(std::string_view one, std::string_view other);

}  // namespace ingot::disk
